"""A client remembers what it was given, and a server that shows an older or another history is found out by it."""

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Type
from tests.client.conftest import served

import trimtab as tt
from trimtab.kernel import Actor, Refused, Settings, VirtualClock
from trimtab.store import (
    HistoryDiffers,
    SigningKey,
    Store,
    accept_history,
    events,
    open_store,
    server_at,
)
from trimtab.store.ledger.known_servers import KnownServer, client_folder

Far = Callable[..., Any]


@pytest.fixture
def open_(clock: VirtualClock) -> Iterator[Callable[[Path], Store]]:
    opened: list[Store] = []

    def run(home: Path) -> Store:
        opened.append(open_store(Settings(home=str(home)), clock=clock))
        return opened[-1]

    yield run
    for one in opened:
        one.close()


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def make_token(far: Far, url: str, name: str, code: int = 0) -> Any:
    done = far(url, "token", "create", name, "--may", "read", "--because", "for a test")
    assert done.code == code, done
    return done


def test_a_server_that_was_put_back_is_found_out_by_its_client(
    far: Far, trimtab: Type, tmp_path: Path, home: Path, open_: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_(home)
    with served(store) as url:
        make_token(far, url, "one")
        shutil.copytree(home, home.with_name("backup"))
        make_token(far, url, "two")
        assert far(url, "get", "tokens").code == 0
        size = len(events(store))
    put_back = home.with_name("backup")
    older = open_(put_back)
    with served(older, port=port_of(url)):
        for refused in (far(url, "get", "tokens"), make_token(far, url, "three", code=1)):
            assert f"the ledger ends after {size - 1} events, and you were shown it with {size}" in refused.err
            assert "trimtab ledger accept" in refused.err
        with tt.connect(url) as there, pytest.raises(HistoryDiffers):
            there.events()
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path.with_name("another")))
        refused = make_token(far, url, "four", code=1)  # a client that has seen nothing
        assert f"this home has seen it with {size}" in refused.err
        monkeypatch.setenv("TRIMTAB_SERVER", "")
        said = trimtab("ledger", "accept", "--because", "the disk is lost", "--home", str(put_back))
        assert (said.code, said.out) == (
            0, f"The ledger goes on after {size - 1} events; it had been seen with {size}.\n",
        )  # fmt: skip
        make_token(far, url, "four")
    assert [one.data["seen_size"] for one in events(older, type="store.history-accepted")] == [size]
    assert {path.name for path in tmp_path.iterdir()} == {"home", "backup"}


def test_a_client_goes_on_once_the_older_history_was_accepted(
    far: Far, home: Path, open_: Callable, actor: Actor, caplog: pytest.LogCaptureFixture
) -> None:
    with served(open_(home)) as url:
        make_token(far, url, "one")
        shutil.copytree(home, home.with_name("backup"))
        for name in ("two", "three", "four"):
            make_token(far, url, name)
    older = open_(home.with_name("backup"))
    with served(older, port=port_of(url)):
        assert far(url, "status").code == 1
        accept_history(older, actor=actor, because="the disk is lost")
        assert far(url, "status").code == 0
        with caplog.at_level(logging.WARNING, logger="trimtab.client"):
            make_token(far, url, "five")
            assert "an older history was accepted there" in caplog.text
            caplog.clear()
            make_token(far, url, "six")
            assert not caplog.text


def test_verifying_remembers_what_was_verified(far: Far, home: Path, open_: Callable) -> None:
    store = open_(home)
    with served(store) as url:
        assert far(url, "status").code == 0
        assert client_folder() is not None
        assert not client_folder().exists(), "who only looks was given nothing"
        make_token(far, url, "one")
        assert far(url, "verify").code == 0
        memory = KnownServer(client_folder(), url)
        assert memory.given() == store.checkpoint().note
        (folder,) = client_folder().iterdir()
        assert len(list(folder.iterdir())) == 2


def test_a_client_believes_no_checkpoint_that_the_key_did_not_sign(tmp_path: Path) -> None:
    key, other = SigningKey.make("trimtab.ledger/one"), SigningKey.make("trimtab.ledger/one")
    memory = KnownServer(tmp_path, "http://127.0.0.1:9")
    with pytest.raises(Refused, match="not signed by the key"):
        memory.keep(key.checkpoint(3, bytes(32)), key=str(other.public))
    memory.keep(key.checkpoint(3, bytes(32)), key=str(key.public))
    with pytest.raises(Refused, match="two histories of 3 events"):
        memory.keep(key.checkpoint(3, b"x" * 32), key=str(key.public))
    assert KnownServer(tmp_path, "http://127.0.0.1:9").given() == key.checkpoint(3, bytes(32))


def test_a_server_is_not_shown_what_another_one_has_made_of_a_copy(tmp_path: Path) -> None:
    key = SigningKey.make("trimtab.ledger/one")
    real, copy = (KnownServer(tmp_path, f"https://{name}.example.org") for name in ("real", "copy"))
    real.keep(key.checkpoint(3, bytes(32)), key=str(key.public))
    copy.keep(key.checkpoint(9, bytes(32)), key=str(key.public))
    assert (real.given(), copy.given()) == (key.checkpoint(3, bytes(32)), key.checkpoint(9, bytes(32)))
    assert KnownServer(tmp_path, "https://real.example.org").given() == key.checkpoint(3, bytes(32))


def test_another_project_at_the_same_address_is_another_ledger(far: Far, home: Path, open_: Callable) -> None:
    shutil.copytree(home, home.with_name("other"))
    with served(open_(home)) as url:
        for name in ("one", "two", "three"):
            make_token(far, url, name)
    with served(open_(home.with_name("other")), port=port_of(url)):
        make_token(far, url, "one")
    with served(open_(home), port=port_of(url)):
        make_token(far, url, "four")


def test_a_user_without_a_home_is_remembered_nothing_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", none)
    monkeypatch.setenv("XDG_STATE_HOME", "not/absolute")
    assert server_at("http://127.0.0.1:9").memory is None
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    assert client_folder() == Path("/somewhere/trimtab/witness")
