"""The one file that verifies without Trimtab: what is intact, what was tampered with, what cannot be proved."""

import ast
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trimtab.governance import Evidence, verify_offline
from trimtab.governance.verify_offline import (
    INTACT,
    NOT_PROVABLE,
    TAMPERED,
    USAGE,
    ed25519_verify,
    main,
    verify_bytes,
    zipped,
)
from trimtab.store import Store
from trimtab.store.ledger.notes import SigningKey

FILE = Path(str(verify_offline.__file__))


def members_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def signed_again(members: dict[str, bytes], key: SigningKey) -> bytes:
    """Do what a forger does: write the manifest anew and sign it with a key of their own choice."""
    manifest = json.loads(members["manifest.json"])
    manifest["members"] = [
        {"name": name, "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in members.items()
        if not name.startswith("manifest.")
    ]
    text = json.dumps(manifest).encode()
    seal = key.sign(f"{verify_offline.SEAL}\nsha256:{hashlib.sha256(text).hexdigest()}\n")
    return zipped(members | {"manifest.json": text, "manifest.sig": seal.encode()})


# --- Ed25519

# RFC 8032, section 7.1, tests 1, 2, 3.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_the_vectors_of_the_rfc(key: str, message: str, signature: str) -> None:
    given_ = bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature)
    assert ed25519_verify(*given_)
    assert not ed25519_verify(given_[0], given_[1] + b"x", given_[2])
    # The same scalar plus the group's order is another spelling, which does not count.
    s = int.from_bytes(given_[2][32:], "little") + 2**252 + 27742317777372353535851937790883648493
    assert not ed25519_verify(given_[0], given_[1], given_[2][:32] + s.to_bytes(32, "little"))


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=80), st.integers(0, 63), st.integers(0, 7))
@settings(max_examples=40, deadline=None)
def test_it_agrees_with_a_library(seed: bytes, message: bytes, at: int, bit: int) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    key, signature = private.public_key().public_bytes_raw(), bytearray(private.sign(message))
    assert ed25519_verify(key, message, bytes(signature))
    signature[at] ^= 1 << bit
    assert not ed25519_verify(key, message, bytes(signature))


# --- packs


def _is_a_name(text: str) -> bool:
    """Say whether other readers of archives leave a name as it is: no zero, no separator of another system."""
    return text.isprintable() and not set(text) & set("\\/\0") and len(text.encode("utf-8", "replace")) < 60


@given(st.dictionaries(st.text(min_size=1, max_size=20).filter(_is_a_name), st.binary(max_size=200), max_size=6))
@settings(max_examples=60, deadline=None)
def test_an_archive_is_read_by_others_and_by_itself(members: dict[str, bytes]) -> None:
    data = zipped(members)
    assert members_of(data) == members
    assert verify_offline._unzipped(data) == (members, "")
    assert verify_offline._unzipped(data + b"x")[1]


def test_a_pack_is_intact_for_whoever_knows_the_key(evidence: Evidence, key: str) -> None:
    found = verify_bytes(evidence.data, [key])
    assert found.code == INTACT
    assert [line.partition(":")[0] for line in found.unproved] == ["that nothing else happened to it"]
    assert found.proved[2].startswith("data check (event 1) < evaluation (event ")
    assert found.proved[3].startswith("the conditions of the gate were fixed at event 0")


def test_a_pack_proves_nothing_to_whoever_does_not(evidence: Evidence) -> None:
    found = verify_bytes(evidence.data, [str(SigningKey.make("trimtab.ledger/OTHER").public)])
    assert found.code == NOT_PROVABLE
    assert "its key is not known" in found.what


@given(st.integers(0, 1 << 40), st.integers(0, 7))
@example(0, 0)
@example(-1, 0)
@settings(max_examples=250, deadline=None)
def test_any_flipped_bit_of_a_pack_is_found(evidence: Evidence, key: str, at: int, bit: int) -> None:
    content = bytearray(evidence.data)
    content[at % len(content)] ^= 1 << bit
    assert verify_bytes(bytes(content), [key]).code == TAMPERED
    assert verify_bytes(bytes(content)).code == TAMPERED


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_flipped_bit_of_what_signs_it_is_found(evidence: Evidence, key: str, data: st.DataObject) -> None:
    """The few hundred bytes where a lenient reader would let a bit through: base64's last bits, key ids, newlines."""
    part = data.draw(st.sampled_from(["manifest.sig", "ledger/checkpoint.txt", "ledger/key.txt"]))
    start = evidence.data.index(part.encode() + members_of(evidence.data)[part]) + len(part)
    at = start + data.draw(st.integers(0, len(members_of(evidence.data)[part]) - 1))
    content = bytearray(evidence.data)
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    assert verify_bytes(bytes(content), [key]).code == TAMPERED


@given(st.integers(0, 1 << 40))
@settings(max_examples=40, deadline=None)
def test_a_cut_pack_is_never_intact(evidence: Evidence, key: str, length: int) -> None:
    cut = evidence.data[: length % len(evidence.data)]
    assert verify_bytes(cut, [key]).code in (TAMPERED, NOT_PROVABLE)
    assert verify_bytes(evidence.data + cut[:1] + b"x", [key]).code == TAMPERED


def test_the_first_bad_member_is_named(evidence: Evidence, key: str) -> None:
    for name, data in members_of(evidence.data).items():
        content = bytearray(evidence.data)
        content[content.index(name.encode() + data) + len(name) + len(data) // 2] ^= 4
        found = verify_bytes(bytes(content), [key])
        assert found.code == TAMPERED
        assert found.bad in (name, "manifest.json"), found


REWRITTEN: dict[str, Callable[[bytes], bytes]] = {
    "covered.json": lambda data: data.replace(b'"classification"', b'"regression"'),
    "params.json": lambda data: data.replace(b"{", b'{"depth":3,', 1),
    "policy.json": lambda data: data.replace(b'"seed":0', b'"seed":1'),
    "features.json": lambda data: data.replace(b'"mean"', b'"max"'),
    "environment.json": lambda data: data.replace(b'"python":"3', b'"python":"2'),
    "environment/run.json": lambda data: data + b"\n",
    "evaluation/report.json": lambda data: data.replace(b'"passed":true', b'"passed":false'),
    "version.json": lambda data: data.replace(b'"status":"approved"', b'"status":"candidate"'),
    "pipeline.json": lambda data: data.replace(b'"timeout_s":3600', b'"timeout_s":1'),
    "run/params.json": lambda data: data.replace(b"lbfgs", b"saga"),
    "run/artifacts.json": lambda data: data.replace(b"]", b",1]", 1),
    "card.json": lambda data: data.replace(b'"name":"n","source"', b'"name":"n","sum_of":[],"source"', 1)
    .replace(b'"value":0.', b'"value":1.', 1),
}  # fmt: skip


@pytest.mark.parametrize("name", REWRITTEN)
def test_a_rewritten_record_is_found_even_when_the_key_was_stolen(lived: Store, evidence: Evidence, name: str) -> None:
    """Whoever has the ledger's key can sign another manifest, and cannot make the ledger vouch for other records."""
    members = members_of(evidence.data)
    changed = REWRITTEN[name](members[name])
    assert changed != members[name]
    stolen = lived.keys.of(lived.origin)
    assert verify_bytes(signed_again(members, stolen), [str(stolen.public)]).code == INTACT
    found = verify_bytes(signed_again(members | {name: changed}, stolen), [str(stolen.public)])
    assert (found.code, found.bad) == (TAMPERED, name)


@pytest.mark.parametrize("folder", ["approvals/", "data/", "releases/", "turns/"])
def test_so_is_every_text_in_what_people_decided(lived: Store, evidence: Evidence, folder: str) -> None:
    members, stolen = members_of(evidence.data), lived.keys.of(lived.origin)
    names = [name for name in members if name.startswith(folder)]
    assert names
    for name in names:
        record = json.loads(members[name])
        for field in ("because", "bound_to", "content_digest", "rows", "approved_by", "position", "signature", "stage"):
            if field in record:
                other = record | {field: record[field] + 1 if isinstance(record[field], int) else "x" + record[field]}
                data = json.dumps(other, separators=(",", ":"), ensure_ascii=False).encode()
                found = verify_bytes(signed_again(members | {name: data}, stolen), [str(stolen.public)])
                assert found.code == TAMPERED, (name, field)


def test_a_form_of_later_is_not_taken_for_a_forgery(lived: Store, evidence: Evidence, key: str) -> None:
    members = members_of(evidence.data)
    newer = members | {"manifest.json": members["manifest.json"].replace(b'"version":1', b'"version":2')}
    found = verify_bytes(signed_again(newer, lived.keys.of(lived.origin)), [key])
    assert found.code == NOT_PROVABLE
    assert "newer" in found.what


def test_another_ledger_cannot_vouch_for_it(evidence: Evidence, key: str) -> None:
    members, forger = members_of(evidence.data), SigningKey.make(key.partition("+")[0])
    note = members["ledger/checkpoint.txt"].decode().rpartition("\n\n")[0] + "\n"
    forged = signed_again(
        members
        | {"ledger/key.txt": f"{forger.public}\n".encode(), "ledger/checkpoint.txt": forger.sign(note).encode()},
        forger,
    )
    assert verify_bytes(forged, [key]).code == NOT_PROVABLE
    assert verify_bytes(forged).code == NOT_PROVABLE


def test_a_checkpoint_that_was_kept_knows_better(lived: Store, evidence: Evidence, key: str) -> None:
    note = lived.keys.of(lived.origin).checkpoint(evidence.position + 1, b"x" * 32)
    found = verify_bytes(evidence.data, [key], [note])
    assert (found.code, found.bad) == (TAMPERED, "ledger/checkpoint.txt")


# --- exported ledgers


def test_an_exported_ledger(lived: Store, exported: Path, key: str) -> None:
    data = exported.read_bytes()
    found = verify_bytes(data, [key])
    assert (found.code, found.origin) == (INTACT, lived.origin)
    assert found.unproved == ("that no events at all were cut off its end, together with their checkpoints",)
    assert verify_bytes(data, [key], [lived.checkpoint().note]).unproved == ()
    assert verify_bytes(data).code == NOT_PROVABLE
    assert verify_bytes(data + b"x", [key]).code == TAMPERED


@given(st.integers(0, 1 << 40), st.integers(0, 7))
@settings(max_examples=150, deadline=None)
def test_any_flipped_bit_of_an_exported_ledger_is_found(exported: Path, key: str, at: int, bit: int) -> None:
    content = bytearray(exported.read_bytes())
    content[at % len(content)] ^= 1 << bit
    assert verify_bytes(bytes(content), [key]).code in (TAMPERED, NOT_PROVABLE)


def test_the_first_bad_position_is_named(exported: Path, key: str) -> None:
    lines = exported.read_bytes().splitlines(keepends=True)
    moved = [*lines[:31], lines[32], lines[31], *lines[33:]]
    found = verify_bytes(b"".join(moved), [key])
    assert (found.code, found.bad) == (TAMPERED, 30)
    found = verify_bytes(b"".join(lines[:-2]), [key])
    assert (found.code, found.bad) == (TAMPERED, len(lines) - 3)


# --- the command line


def test_nothing_but_the_standard_library_is_needed(
    evidence: Evidence, exported: Path, key: str, tmp_path: Path
) -> None:
    script = tmp_path / "verify_offline.py"
    script.write_bytes(members_of(evidence.data)["verify_offline.py"])
    assert script.read_bytes() == FILE.read_bytes()
    pack = tmp_path / "slow.zip"
    pack.write_bytes(evidence.data)
    for file in (pack, exported):
        assert alone(script, file, "--key", key).returncode == INTACT
        assert alone(script, file).returncode == NOT_PROVABLE
    (tmp_path / "key").write_text(f"{key}\n")
    done = alone(script, pack, "--key", tmp_path / "key")
    assert done.stdout.startswith("intact: the evidence of slow@1 is intact\n")
    pack.write_bytes(evidence.data.replace(b"first model", b"worst model"))
    done = alone(script, pack, "--key", key)
    assert done.returncode == TAMPERED
    assert "first bad approvals/" in done.stdout


def alone(script: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run the file with an interpreter that sees no installed package."""
    command = [sys.executable, "-I", "-S", str(script), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_it_imports_only_the_standard_library() -> None:
    for node in ast.walk(ast.parse(FILE.read_text("utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


@pytest.mark.parametrize(
    "words", [[], ["none.zip"], ["a", "b"], ["--odd"], ["{}", "--key", "none"], ["{}", "--checkpoint", "none"]]
)
def test_a_mistake_in_the_command_line(words: list[str], exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word.format(exported) for word in words]) == USAGE
    assert "usage:" in capsys.readouterr().err


def test_what_a_file_says_does_not_act_on_a_terminal(evidence: Evidence) -> None:
    other = zipped(members_of(evidence.data) | {"a\x1b[2Jintact": b""})
    assert verify_bytes(other).what == "a\N{REPLACEMENT CHARACTER}[2Jintact is not the member that was signed"


def test_a_terminal_without_every_letter_is_enough(tmp_path: Path, evidence: Evidence) -> None:
    (tmp_path / "other.zip").write_bytes(zipped(members_of(evidence.data) | {"\N{EM DASH}": b""}))
    command = [sys.executable, "-S", str(FILE), str(tmp_path / "other.zip")]
    done = subprocess.run(command, capture_output=True, env={"PYTHONIOENCODING": "ascii"}, check=False)
    assert (done.returncode, done.stderr) == (TAMPERED, b"")
    assert done.stdout.startswith(b"tampered: \\u2014 is not the member that was signed")


def test_what_is_neither_proves_nothing(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"\xffnothing")
    assert main([str(tmp_path / "notes.txt")]) == NOT_PROVABLE
