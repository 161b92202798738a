"""``trimtab verify FILE`` and the file that needs no Trimtab say the same of whatever they are given."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.governance.test_verify_offline import FILE, members_of

from trimtab.cli.main import run
from trimtab.governance import Evidence, verify_evidence
from trimtab.governance.verify_offline import followed, zipped
from trimtab.kernel import Actor
from trimtab.store import Store, VerificationKind, export_log, replace_key, verify
from trimtab.store.ledger.baselines import statement_of
from trimtab.store.ledger.notes import SigningKey

SIZE = 600


@pytest.fixture
def log(store: Store, fill: Callable, tmp_path: Path) -> Path:
    fill(store, SIZE, each=100)
    path = tmp_path / "ledger.jsonl"
    header = export_log(store, path)
    assert (header.origin, header.size) == (store.origin, SIZE)
    return path


def test_an_export_is_verified_without_the_store(store: Store, log: Path) -> None:
    found = verify_evidence(log, keys=[str(store.keys.of(store.origin).public)])
    assert (found.kind, found.events, found.origin) == (VerificationKind.INTACT, SIZE, store.origin)
    assert found.root == verify(store).root
    remembered = verify_evidence(log, home=store.settings.home_path)
    assert (remembered.kind, remembered.unproved) == (VerificationKind.INTACT, ())
    assert verify_evidence(log).kind is VerificationKind.NOT_PROVABLE


def test_an_earlier_export_is_not_a_cut_one(store: Store, log: Path, fill: Callable) -> None:
    fill(store, 5)
    assert verify_evidence(log, home=store.settings.home_path).kind is VerificationKind.INTACT


def test_who_trusts_an_old_key_follows_it_to_the_new_one(store: Store, log: Path, fill: Callable, actor: Actor) -> None:
    keys = [store.checkpoint().key]
    for _ in range(2):
        keys.append(replace_key(store, actor=actor, because="every year").new)
        fill(store, 3)
    export_log(store, log)
    for key in keys:
        found = verify_evidence(log, keys=[key])
        assert (found.kind, found.events) == (VerificationKind.INTACT, SIZE + 8)
    stranger = str(SigningKey.make(store.origin).public)
    assert verify_evidence(log, keys=[stranger]).kind is VerificationKind.NOT_PROVABLE


def test_nobody_follows_a_key_that_the_old_one_has_not_signed(store: Store, fill: Callable, actor: Actor) -> None:
    fill(store, 1)
    said = msgspec.to_builtins(replace_key(store, actor=actor, because="every year"))
    mallory = SigningKey.make(store.origin)
    told = statement_of(
        ledger=said["ledger"], size=said["size"], root=said["root"], old=said["old"], new=str(mallory.public)
    )
    own = base64.b64encode(mallory.signature(told)).decode()
    assert len(followed([said["old"]], [said])) == 2
    for wrong in (
        {"by_old": None}, {"by_new": said["by_old"]}, {"size": 2}, {"ledger": "another"}, {"old": said["new"]},
        {"new": str(mallory.public), "by_new": own}, {"new": str(mallory.public), "by_old": own, "by_new": own},
    ):  # fmt: skip
        assert len(followed([said["old"]], [said | wrong, "no event", {}])) == 1


@pytest.mark.parametrize(
    ("old", "new", "position"),
    [
        (b'"n":50,', b'"n":51,', 0),
        (b',"position":300}', b',"position":301}', 300),
        (b'"event":{"actor"', b'"event":["actor"', 0),
    ],
)
def test_a_changed_line_is_found(store: Store, log: Path, old: bytes, new: bytes, position: int) -> None:
    data = log.read_bytes()
    assert old in data
    log.write_bytes(data.replace(old, new, 1))
    found = verify_evidence(log, home=store.settings.home_path)
    assert (found.kind, found.first_bad) == (VerificationKind.TAMPERED, position)


def test_a_cut_export_is_found(store: Store, log: Path) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    for kept in (lines[:-1], lines[:300], [*lines[:-1], lines[-1][:50]], [lines[0]], [*lines, lines[-1]]):
        log.write_bytes(b"".join(kept))
        found = verify_evidence(log, home=store.settings.home_path)
        assert found.kind is VerificationKind.TAMPERED
        assert found.first_bad == min(len(kept) - 1, SIZE) - (len(kept[-1]) == 50)


def test_what_cannot_be_read_is_a_usage_error_and_what_is_neither_is_not_provable(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"\xff{}\n")
    (tmp_path / "empty.zip").write_bytes(b"")
    for name, kind in {"missing": 3, ".": 3, "other": 2, "empty.zip": 2}.items():
        assert verify_evidence(tmp_path / name).exit_code == kind


def test_keys_of_the_home_that_cannot_be_read_vouch_for_nothing(
    lived: Store, exported: Path, key: str, tmp_path: Path
) -> None:
    for folder in ("keys", "witness"):
        (tmp_path / folder).mkdir()
    (tmp_path / "keys" / "ledger-1.pub").write_bytes(b"\xff\xfe")
    (tmp_path / "witness" / f"{lived.origin.replace('/', '_')}.jsonl").write_bytes(b'{"key": "x"}\n{"note": 5}')
    assert verify_evidence(exported, home=tmp_path).kind is VerificationKind.NOT_PROVABLE
    (tmp_path / "keys" / "ledger-2.pub").write_text(f"{key}\n")
    assert verify_evidence(exported, home=tmp_path).kind is VerificationKind.INTACT


# --- the same of whatever they are given


def _header(data: bytes, **other: object) -> bytes:
    first, _, rest = data.partition(b"\n")
    header = json.loads(first) | other
    return json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode() + b"\n" + rest


def _signed(data: bytes, change: Callable[[str], str]) -> bytes:
    signed = json.loads(data.partition(b"\n")[0])["checkpoints"]
    return _header(data, checkpoints=[one | {"note": change(one["note"])} for one in signed])


STRANGER = SigningKey.make("trimtab.ledger/STRANGER")
LOGS: dict[str, tuple[Callable[[bytes], bytes], int]] = {
    "as it is": (lambda data: data, 0),
    "nothing": (lambda _: b"", 2),
    "nothing but its header": (lambda data: data.partition(b"\n")[0], 1),
    "no newline at its end": (lambda data: data[:-1], 1),
    "another line end": (lambda data: data.replace(b"\n", b"\r\n"), 1),
    "a space in the header": (lambda data: data.replace(b"\n", b" \n", 1), 1),
    "another spelling of the header": (lambda data: data.replace(b'"version":1', b'"version": 1', 1), 1),
    "a name twice in the header": (lambda data: data.replace(b'{"format"', b'{"size":1,"format"', 1), 1),
    "a size with a point": (lambda data: _header(data, size=float(json.loads(data.partition(b"\n")[0])["size"])), 1),
    "no checkpoints": (lambda data: _header(data, checkpoints=[]), 2),
    "a checkpoint that is none": (lambda data: _header(data, checkpoints=[None]), 1),
    "two signatures, one of them wrong": (
        lambda data: _signed(data, lambda note: f"{note}{note.splitlines()[-1][:-12]}{'A' * 10}A=\n"), 1,
    ),
    "a checkpoint of nothing that a stranger signed": (
        lambda data: _header(
            data,
            checkpoints=[
                {
                    "size": 0,
                    "note": SigningKey.make(json.loads(data.partition(b"\n")[0])["origin"]).checkpoint(0, b"x" * 32),
                    "key": str(STRANGER.public),
                }
            ],
        ),
        1,
    ),
    "a byte order mark": (lambda data: b"\xef\xbb\xbf" + data, 1),
}  # fmt: skip
PACKS: dict[str, tuple[Callable[[bytes], bytes], int]] = {
    "as it is": (lambda data: data, 0),
    "nothing": (lambda _: b"", 2),
    "three bytes": (lambda data: data[:3], 2),
    "a half": (lambda data: data[: len(data) // 2], 1),
    "neither head nor tail": (lambda data: b"\0" * 4 + data[4:-80] + b"\0" * 80, 2),
    "more than an archive may hold": (lambda data: zipped({}).join([_entries(70_000), data]), 1),
    "a manifest too deep to read": (lambda data: zipped(members_of(data) | {"manifest.json": b"[" * 100_000}), 1),
}


def _entries(count: int) -> bytes:
    """Return as many empty members, without a directory."""
    from trimtab.governance.verify_offline import _LOCAL

    names = [b"%07d" % number for number in range(count)]
    return b"".join(_LOCAL.pack(b"PK\x03\x04", 20, 0x800, 0, 0, 0x21, 0, 0, 0, len(name), 0) + name for name in names)


def both(path: Path, key: str) -> tuple[int, int]:
    """Return what ``trimtab verify`` and the file that needs no Trimtab end with."""
    command = [sys.executable, "-I", "-S", str(FILE), str(path), "--key", key]
    alone = subprocess.run(command, capture_output=True, check=False)
    assert alone.stderr == b""
    return run(["--home", str(path.parent / "nowhere"), "verify", str(path), "--key", key]), alone.returncode


@pytest.mark.parametrize("name", LOGS)
def test_both_say_the_same_of_an_exported_ledger(exported: Path, key: str, tmp_path: Path, name: str) -> None:
    change, code = LOGS[name]
    (tmp_path / "log").write_bytes(change(exported.read_bytes()))
    assert both(tmp_path / "log", key) == (code, code)


@pytest.mark.parametrize("name", PACKS)
def test_both_say_the_same_of_a_pack(evidence: Evidence, key: str, tmp_path: Path, name: str) -> None:
    change, code = PACKS[name]
    for file in ("slow.zip", "slow"):
        (tmp_path / file).write_bytes(change(evidence.data))
        assert both(tmp_path / file, key) == (code, code)


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_flipped_bit_of_an_export_is_found(exported: Path, key: str, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(exported.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    (tmp_path / "flipped").write_bytes(content)
    found = verify_evidence(tmp_path / "flipped", keys=[key])
    # In the header a bit may also turn a known key into an unknown one.
    assert found.kind in (VerificationKind.TAMPERED, VerificationKind.NOT_PROVABLE)
    if at > content.index(b"\n"):
        assert found.kind is VerificationKind.TAMPERED


def test_a_key_is_named_by_its_file_too(exported: Path, key: str, tmp_path: Path) -> None:
    (tmp_path / "ledger.pub").write_text(f"{key}\n")
    assert both(exported, str(tmp_path / "ledger.pub")) == (0, 0)
