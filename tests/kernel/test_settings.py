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


@pytest.mark.parametrize("name", ["", "Production", "a b", "7", "production\n"])
def test_an_environment_has_a_plain_name(tmp_path: Path, name: str) -> None:
    assert load(environment={"TRIMTAB_ENVIRONMENT": "production-2"}, folder=tmp_path)[0].environment == "production-2"
    with pytest.raises(Invalid, match="a name of small letters"):
        load(environment={"TRIMTAB_ENVIRONMENT": name}, folder=tmp_path)


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


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("keep_governed_decisions", "182d", "183d or more"), ("keep_attempts", "59m", "1h or more"),
        ("gc_every", "30s", "1m or more"), ("keep_logs", "90", "such as 90d"), ("keep_runs", "never", "or forever"),
        ("keep_decisions", "-1d", "such as 90d"), ("gc_every", "forever", "or never"),
    ],
)  # fmt: skip
def test_an_age_that_is_too_short_or_none_is_refused(tmp_path: Path, name: str, value: str, why: str) -> None:
    (tmp_path / "trimtab.toml").write_text(f'{name} = "{value}"\n')
    with pytest.raises(Invalid) as refused:
        load(environment={}, folder=tmp_path)
    assert why in refused.value.next


@pytest.mark.parametrize("proxies", ["nginx", "127.0.0.1, *", "10.0.0.1/8"])
def test_proxies_are_addresses(tmp_path: Path, proxies: str) -> None:
    with pytest.raises(Invalid, match="is not the address of a proxy"):
        load(environment={"TRIMTAB_PROXIES": proxies}, folder=tmp_path)
    found, _ = load(environment={"TRIMTAB_PROXIES": "127.0.0.1, 10.0.0.0/8"}, folder=tmp_path)
    assert found.proxies == "127.0.0.1, 10.0.0.0/8"


def test_decisions_of_governed_endpoints_are_kept_for_six_months_at_least(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as refused:
        load(environment={"TRIMTAB_KEEP_GOVERNED_DECISIONS": "100d"}, folder=tmp_path)
    assert "Art. 19(1) and 26(6)" in refused.value.why
    settings, _ = load(environment={"TRIMTAB_KEEP_GOVERNED_DECISIONS": "183d"}, folder=tmp_path)
    assert settings.keep_governed_decisions == "183d"


def test_a_secret_of_the_wrong_kind_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "trimtab.toml").write_text("pkcs11_pin = 8246713\n")
    with pytest.raises(Invalid, match="is not a valid value") as refused:
        load(environment={}, folder=tmp_path)
    assert refused.value.where == "trimtab.toml: pkcs11_pin"
    assert "8246713" not in str(refused.value)
