"""Who signs, and what a client remembers."""

import shutil
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import msgspec
import pytest

from trimtab.kernel import Refused, Unavailable
from trimtab.store import KeyMissing, Store, Witness, events, open_store, verify
from trimtab.store.ledger.keys import Keys
from trimtab.store.ledger.notes import SigningKey

ORIGIN = "trimtab.ledger/01TEST"


def test_a_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys")
    assert keys.public(ORIGIN) is None
    made = keys.make(ORIGIN)
    (file,) = (tmp_path / "keys").glob("*.key")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert str(Keys(tmp_path / "keys").of(ORIGIN).public) == str(made.public) == keys.public(ORIGIN)
    assert str(keys.make("trimtab.ledger/OTHER").public) != str(made.public)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    Keys(tmp_path).make(ORIGIN)
    (file,) = tmp_path.glob("*.key")
    file.chmod(0o640)
    with pytest.raises(Refused, match="open to others"):
        Keys(tmp_path).of(ORIGIN)


@pytest.mark.parametrize("left", [None, ""])
def test_a_key_whose_maker_was_killed_has_a_public_one_all_the_same(tmp_path: Path, left: str | None) -> None:
    made = Keys(tmp_path).make(ORIGIN)
    (file,) = tmp_path.glob("*.pub")
    file.unlink()
    if left is not None:
        file.write_text(left)
    assert Keys(tmp_path).public(ORIGIN) == str(made.public)


def test_processes_that_make_a_key_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: str(Keys(tmp_path).make(ORIGIN).public), range(8)))
    assert len(set(made)) == 1
    assert sorted(file.suffix for file in tmp_path.iterdir()) == [".key", ".pub"]


def note(key: SigningKey, size: int, root: bytes = b"r" * 32) -> str:
    return key.checkpoint(size, root)


def test_a_witness_remembers_across_processes(tmp_path: Path) -> None:
    key = SigningKey.make(ORIGIN)
    for size in (3, 9, 5):
        Witness(tmp_path).remember(note(key, size), key=str(key.public))
    remembered = Witness(tmp_path)
    assert [checkpoint.size for checkpoint in remembered.checkpoints(ORIGIN)] == [3, 5, 9]
    assert [str(public) for public in remembered.keys(ORIGIN)] == [str(key.public)]
    assert remembered.checkpoints("another") == ()


def test_a_witness_does_not_believe_an_unsigned_checkpoint(tmp_path: Path) -> None:
    key, other = SigningKey.make(ORIGIN), SigningKey.make(ORIGIN)
    with pytest.raises(Refused, match="not signed by the key"):
        Witness(tmp_path).remember(note(key, 3), key=str(other.public))
    with pytest.raises(Refused, match="not signed by the key"):
        Witness(tmp_path).remember(note(key, 3), key=str(SigningKey.make("someone").public))
    with pytest.raises(Refused):
        Witness(tmp_path).remember(note(key, 3).replace("\n3\n", "\n4\n"), key=str(key.public))
    assert Witness(tmp_path).checkpoints(ORIGIN) == ()


def test_two_histories_of_one_size_are_noticed_at_once(tmp_path: Path) -> None:
    key, witness = SigningKey.make(ORIGIN), Witness(tmp_path)
    witness.remember(note(key, 3), key=str(key.public))
    with pytest.raises(Refused, match="two histories of 3 events"):
        witness.remember(note(key, 3, b"x" * 32), key=str(key.public))


def test_half_a_line_of_a_killed_process_costs_only_itself(tmp_path: Path) -> None:
    key = SigningKey.make(ORIGIN)
    Witness(tmp_path).remember(note(key, 3), key=str(key.public))
    (file,) = tmp_path.iterdir()
    with file.open("ab") as opened:
        opened.write(b'\n{"note":"trim')
    Witness(tmp_path).remember(note(key, 4), key=str(key.public))
    assert [checkpoint.size for checkpoint in Witness(tmp_path).checkpoints(ORIGIN)] == [3, 4]


def test_memory_stays_small(tmp_path: Path) -> None:
    key, witness = SigningKey.make(ORIGIN), Witness(tmp_path)
    for size in range(1, 2001):
        witness.keep(note(key, size), key=str(key.public))
    kept = [checkpoint.size for checkpoint in witness.checkpoints(ORIGIN)]
    assert kept == [255, 511, 767, 1023, 1279, 1535, 1791, 2000]
    assert len(witness.keys(ORIGIN)) == 1


def test_a_store_remembers_what_it_signed(store: Store, fill: Callable) -> None:
    receipt = fill(store, 3, each=1)
    assert [checkpoint.size for checkpoint in store.witness.checkpoints(store.origin)] == [1, 2, 3]
    assert verify(store).exit_code == 0
    # What was found consistent needs to be remembered once.
    (last,) = store.witness.checkpoints(store.origin)
    assert last.note == receipt.checkpoint


def test_another_home_reads_without_the_key_and_writes_with_a_copy(
    store: Store, fill: Callable, tmp_path: Path
) -> None:
    fill(store, 2)
    url = store.settings.database or f"sqlite:///{store.settings.home_path / 'trimtab.db'}"
    settings = msgspec.structs.replace(store.settings, home=str(tmp_path / "other"), database=url)
    other = open_store(settings)
    assert [event.data["thing"] for event in events(other)] == ["thing-0", "thing-1"]
    found = verify(other)
    assert found.kind == "not provable"
    assert any("checked with the ledger's key" in line for line in found.unproved)
    (file,) = (store.settings.home_path / "keys").glob("ledger-*.key")
    with pytest.raises(KeyMissing) as refused:
        fill(other, 1)
    assert f"copy keys/{file.name} from the home that wrote the ledger" in refused.value.next
    assert len(events(other)) == 2
    other.close()
    shutil.copytree(file.parent, tmp_path / "other" / "keys", dirs_exist_ok=True)
    other = open_store(settings)
    assert fill(other, 2).position == 3
    assert fill(store, 1).position == 4
    for each in (store, other):
        assert verify(each).kind == "intact"
    other.close()


def test_the_key_may_come_from_a_command(store: Store, fill: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, 2)
    (file,) = (store.settings.home_path / "keys").glob("ledger-*.key")
    monkeypatch.setenv("KEPT_ELSEWHERE", file.read_text())
    file.unlink()
    store.close()
    settings = msgspec.structs.replace(store.settings, ledger_key_command="printenv KEPT_ELSEWHERE")
    other = open_store(settings)
    assert fill(other, 1).position == 2
    assert verify(other).kind == "intact"
    assert not list(file.parent.glob("*.key"))
    other.close()
    with pytest.raises(Unavailable, match="ledger_key_command"):
        open_store(msgspec.structs.replace(settings, ledger_key_command="printenv NOTHING_HERE"))


@pytest.mark.parametrize("before", [b"", b"{"])
def test_programs_that_begin_at_once_agree_on_the_first_ledger(tmp_path: Path, before: bytes) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(50):
            witness = Witness(tmp_path / str(number))
            if before:
                (tmp_path / str(number)).mkdir()
                (tmp_path / str(number) / witness.place_name("here")).write_bytes(before)
            assert len(set(pool.map(partial(witness.first_at, "here"), [f"ledger {n}" for n in range(16)]))) == 1
