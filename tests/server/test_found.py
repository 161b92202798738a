"""The server of a home is found from that home, and from no copy of it."""

import shutil
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from tests.client.conftest import served

from trimtab.server import running_server
from trimtab.server.found import address_of, forget_address, note_address
from trimtab.store import Store


def test_a_copied_home_does_not_speak_to_the_originals_server(sqlite_store: Store, tmp_path: Path) -> None:
    settings = sqlite_store.settings
    assert running_server(settings) is None
    with served(sqlite_store, instance="this one") as url:
        port = urlsplit(url).port or 0
        address = address_of(settings, host="127.0.0.1", port=port, instance="this one")
        note_address(settings, address)
        assert running_server(settings) == address
        copy = shutil.copytree(settings.home_path, tmp_path / "copy")
        assert running_server(msgspec.structs.replace(settings, home=str(copy))) is None
        note_address(settings, msgspec.structs.replace(address, instance="an earlier one"))
        assert running_server(settings) is None, "what answers at this port now is another server"
        forget_address(settings, address)
        assert (settings.home_path / "server.json").exists(), "another one has come later"
        note_address(settings, address)
    assert running_server(settings) is None
    forget_address(settings, address)
    assert not (settings.home_path / "server.json").exists()


def test_an_address_that_cannot_be_read_is_none(sqlite_store: Store) -> None:
    (sqlite_store.settings.home_path / "server.json").write_bytes(b'{"url": "http://127.0.0.1:1", "pid": 1}')
    assert running_server(sqlite_store.settings) is None
