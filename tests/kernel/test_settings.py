"""Settings: the environment over the file over the defaults, and each says where it came from."""

from pathlib import Path

import pytest

from trimtab.kernel import Invalid, Setting, Settings, load


def origins(found: list[Setting]) -> dict[str, str]:
    return {setting.name: setting.origin for setting in found}


def test_nothing_set_gives_the_defaults(tmp_path: Path) -> None:
    settings, found = load(environment={}, folder=tmp_path)
    assert settings == Settings()
    assert set(origins(found).values()) == {"default"}
    assert [setting.name for setting in found] == list(Settings.__struct_fields__)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "trimtab.toml").write_text('port = 1\nworkers = 3\nhome = "elsewhere"\n')
    settings, found = load(environment={"TRIMTAB_PORT": "9000", "PORT": "7"}, folder=tmp_path)
    assert (settings.port, settings.workers, settings.home) == (9000, 3, "elsewhere")
    told = origins(found)
    assert told["port"] == "environment TRIMTAB_PORT"
    assert told["workers"] == "trimtab.toml"
    assert told["host"] == "default"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("port = ", "trimtab.toml"),
        ("prot = 1", "trimtab.toml: prot"),
        ('port = "many"', "trimtab.toml: port"),
        ("\udcff", "trimtab.toml"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, where: str) -> None:
    (tmp_path / "trimtab.toml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(Invalid) as caught:
        load(environment={}, folder=tmp_path)
    assert caught.value.where == where


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as caught:
        load(environment={"TRIMTAB_WORKERS": "two"}, folder=tmp_path)
    assert caught.value.where == "TRIMTAB_WORKERS"


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    environment = {"TRIMTAB_TOKEN": "abc", "TRIMTAB_DATABASE": "postgresql://me:pass@db.example/trimtab"}
    settings, found = load(environment=environment, folder=tmp_path)
    shown = {setting.name: setting.value for setting in found}
    assert settings.token == "abc"
    assert shown["token"] == "(hidden)"
    assert shown["database"] == "postgresql://(hidden)@db.example/trimtab"


def test_the_home_is_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings().home_path == tmp_path.resolve() / ".trimtab"
