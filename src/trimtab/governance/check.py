"""Verify an evidence pack or an exported ledger with what this home knows: keys it has signed with, or has seen."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from trimtab.governance.verify_offline import TAMPERED, Found, Key, verify_bytes
from trimtab.governance.verify_offline import Checkpoint as Kept
from trimtab.kernel import TrimtabError
from trimtab.store import Checkpoint, PublicKey, Verification, VerificationKind, Witness

_KINDS = (
    VerificationKind.INTACT,
    VerificationKind.TAMPERED,
    VerificationKind.NOT_PROVABLE,
    VerificationKind.USAGE,
)


def verify_evidence(
    path: Path, *, keys: Sequence[str] = (), checkpoints: Sequence[str] = (), home: Path | None = None
) -> Verification:
    """Verify an evidence pack or an exported ledger. ``home`` is the folder of a project whose keys and memory count.

    The checks are those of ``verify_offline.py``, the file that lies in every pack, so that both always say the same.
    A checkpoint that the home remembers of the same ledger is held against a pack of its size, and against a ledger
    that is not shorter: one that was exported earlier may be.
    """
    try:
        given = [str(PublicKey.parse(key)) for key in keys]
        notes = [Checkpoint.parse(note).note for note in checkpoints]
        if any(Kept.parse(note) is None for note in notes):
            return _usage("a checkpoint cannot be read")
        data = path.read_bytes()
    except OSError as error:
        return _usage(f"{path.name} cannot be read: {error.strerror}")
    except TrimtabError as error:
        return _usage(f"{error.what}: {error.why}")
    found = verify_bytes(data, given, notes)
    if home is not None and found.origin and found.code != TAMPERED:
        known, remembered = _known_in(home, found)
        found = verify_bytes(data, [*given, *known], [*notes, *remembered])
    return _verification(found)


def _known_in(home: Path, found: Found) -> tuple[list[str], list[str]]:
    """Return the public keys that a home knows, and what it remembers of a ledger up to the size that was found."""
    keys = [file.read_text("utf-8", "replace") for file in sorted((home / "keys").glob("ledger-*.pub"))]
    notes: list[str] = []
    witness = Witness(home / "witness")
    with suppress(TrimtabError):  # a memory that cannot be read vouches for nothing
        keys += [str(key) for key in witness.keys(found.origin)]
        notes = [kept.note for kept in witness.checkpoints(found.origin) if kept.size <= found.events]
    return [key.strip() for key in keys if Key.parse(key)], notes


def _verification(found: Found) -> Verification:
    return Verification(
        kind=_KINDS[found.code], what=found.what, origin=found.origin, events=found.events, root=found.root,
        first_bad=found.bad if isinstance(found.bad, int) else None, proved=found.proved, unproved=found.unproved,
    )  # fmt: skip


def _usage(what: str) -> Verification:
    return Verification(kind=VerificationKind.USAGE, what=what)
