"""Verify an evidence pack with what this home knows: the keys that it has signed with, or has seen."""

from collections.abc import Sequence
from pathlib import Path

from fairlead.governance.verify_offline import Checkpoint as Kept
from fairlead.governance.verify_offline import Found, is_pack, verify_pack
from fairlead.kernel import FairleadError
from fairlead.store import Checkpoint, PublicKey, Verification, VerificationKind, Witness

_KINDS = (
    VerificationKind.INTACT,
    VerificationKind.TAMPERED,
    VerificationKind.NOT_PROVABLE,
    VerificationKind.USAGE,
)


def is_evidence(path: Path) -> bool:
    """Say whether a file is an evidence pack, or was one; False for what cannot be read."""
    try:
        return path.suffix == ".zip" or is_pack(path.read_bytes())
    except OSError:
        return False


def verify_evidence(
    path: Path, *, keys: Sequence[str] = (), checkpoints: Sequence[str] = (), home: Path | None = None
) -> Verification:
    """Verify an evidence pack. ``home`` is the folder of a project whose keys and memory count as trusted.

    The checks are those of ``verify_offline.py``, the file that lies in every pack; a checkpoint that the home
    remembers of the same ledger and size is held against the pack's.
    """
    try:
        data = path.read_bytes()
        given = [str(PublicKey.parse(key)) for key in keys]
        notes = [Checkpoint.parse(note).note for note in checkpoints]
        if any(Kept.parse(note) is None for note in notes):
            return _usage("a checkpoint cannot be read")
    except OSError as error:
        return _usage(f"{path.name} cannot be read: {error.strerror}")
    except FairleadError as error:
        return _usage(f"{error.what}: {error.why}")
    found = verify_pack(data, given, notes)
    if home is not None and found.origin:
        witness = Witness(home / "witness")
        own = [file.read_text("utf-8").strip() for file in sorted((home / "keys").glob("ledger-*.pub"))]
        seen = [str(key) for key in witness.keys(found.origin)]
        notes += [kept.note for kept in witness.checkpoints(found.origin)]
        found = verify_pack(data, [*given, *own, *seen], notes)
    return _verification(found)


def _verification(found: Found) -> Verification:
    return Verification(
        kind=_KINDS[found.code], what=found.what, origin=found.origin, events=found.events, root=found.root,
        first_bad=found.bad if isinstance(found.bad, int) else None, proved=found.proved, unproved=found.unproved,
    )  # fmt: skip


def _usage(what: str) -> Verification:
    return Verification(kind=VerificationKind.USAGE, what=what)
