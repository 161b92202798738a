"""A home knows itself, wherever it is moved to, and a copy is another one."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from trimtab.store import identity_of


def test_a_home_stays_the_same_when_it_is_moved(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    first = identity_of(home)
    assert identity_of(home) == first
    assert identity_of(home.rename(tmp_path / "moved")) == first


def test_a_copy_is_another_home_and_says_of_which(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    first = identity_of(home)
    copy = identity_of(Path(shutil.copytree(home, tmp_path / "copy")))
    assert (copy.id != first.id, copy.copied_from) == (True, first.id)
    assert identity_of(tmp_path / "copy") == copy
    assert identity_of(home) == first


def test_an_identity_that_cannot_be_read_is_made_anew(tmp_path: Path) -> None:
    identity_of(tmp_path)
    (tmp_path / "identity.json").write_bytes(b"\xff{")
    assert identity_of(tmp_path) == identity_of(tmp_path)


@pytest.mark.parametrize("before", ["nothing", "of another home", "damaged"])
def test_many_that_begin_at_once_agree(tmp_path: Path, before: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(50):
            home = tmp_path / str(number)
            home.mkdir()
            if before != "nothing":
                identity_of(home)
                shutil.copytree(home, tmp_path / f"copy {number}")
                home = tmp_path / f"copy {number}"
            if before == "damaged":
                (home / "identity.json").write_bytes(b"{")
            assert len({one.id for one in pool.map(identity_of, [home] * 16)}) == 1
