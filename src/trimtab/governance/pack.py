"""Make an evidence pack: what is known of one version, with proofs that need no server and no Trimtab."""

from collections.abc import Mapping
from importlib.resources import files

import msgspec

from trimtab.governance.card import card_of
from trimtab.governance.dossier import EVENTS, Dossier, dossier_of
from trimtab.governance.history import size_at
from trimtab.governance.render import as_html, as_markdown
from trimtab.governance.verify_offline import KEY_REPLACED, KEYS, PACK, SEAL, zipped
from trimtab.kernel import VERSION, canonical, digest_of_bytes
from trimtab.registry import VersionRef
from trimtab.store import Checkpoint, InclusionProof, Signed, Store, each_event, inclusion_proofs, signed_prefix

SCRIPT = "verify_offline.py"
_README = """\
Evidence of {ref}, as the ledger {origin}
told it when it held {size} events.

Verify it with nothing but Python 3.11 or newer:

    python verify_offline.py {file} --key KEY

KEY is the public key of that ledger, from somebody whom you trust: this pack's own copy (ledger/key.txt) proves
nothing about who made it. With Trimtab: trimtab verify {file} --key KEY

  manifest.json   every member with its SHA-256; manifest.sig is its signature by the ledger's key
  ledger/         the signed checkpoint, and each event with its proof (RFC 9162) that the checkpoint covers it;
                  keys.jsonl, where there is one, says which key took the place of which, as both have signed
  covered.json    everything that an approval of this version vouches for, by digest
  card.html       the model card; card.json says for each number which record it was read from, card.md is plain
  other files     the records, in the bytes whose digests the events hold
"""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """An evidence pack: its bytes, and what it is about. ``position`` is that of the newest event it knows.

    ``key`` is the public key of the ledger that signed it.
    """

    ref: str
    position: int
    data: bytes
    members: tuple[str, ...]
    missing: tuple[str, ...]
    key: str


def evidence_pack(store: Store, ref: VersionRef | str, *, position: int | None = None) -> Evidence:
    """Return the evidence of a version as of a position of the ledger (default: now).

    The same position gives the same bytes until the ledger's key is replaced. Raises ``VersionMissing`` for a version
    that was not there yet, and ``RowsDamaged`` when the ledger is not the one that was signed.
    """
    dossier = dossier_of(store, ref, size=size_at(store, position))
    signed = signed_prefix(store, dossier.size)
    proofs = inclusion_proofs(store, [event.position for event in dossier.events], signed=signed)
    card = card_of(dossier, origin=store.origin)
    members = {
        **{name: member.data for name, member in dossier.members.items()},
        "card.html": as_html(card).encode(),
        "card.json": canonical(card),
        "card.md": as_markdown(card).encode(),
        "ledger/checkpoint.txt": signed.note.encode(),
        "ledger/key.txt": f"{signed.key}\n".encode(),
        EVENTS: b"".join(_line(proof) for proof in proofs),
        **_keys(store),
        "README.txt": _readme(dossier, store.origin).encode(),
        SCRIPT: files("trimtab.governance").joinpath(SCRIPT).read_bytes(),
    }
    manifest = _manifest(dossier, members, signed)
    members |= {"manifest.json": manifest, "manifest.sig": _seal(store, manifest)}
    return Evidence(
        ref=dossier.ref, position=dossier.size - 1, data=zipped(members), members=tuple(sorted(members)),
        missing=dossier.missing, key=signed.key,
    )  # fmt: skip


def _keys(store: Store) -> dict[str, bytes]:
    """Return which keys took the place of others, as both have signed: who trusts an old one can follow it."""
    lines = [canonical(event.data) + b"\n" for event in each_event(store, type=KEY_REPLACED)]
    return {KEYS: b"".join(lines)} if lines else {}


def _line(proof: InclusionProof) -> bytes:
    return canonical({"entry": proof.entry, "path": proof.path}) + b"\n"


def _readme(dossier: Dossier, origin: str) -> str:
    file = f"{dossier.model}-{dossier.number}.zip"
    return _README.format(ref=dossier.ref, origin=origin, size=dossier.size, file=file)


def _manifest(dossier: Dossier, members: Mapping[str, bytes], signed: Signed) -> bytes:
    checkpoint = Checkpoint.parse(signed.note)
    return canonical(
        {
            "format": PACK,
            "version": 1,
            "made_by": f"trimtab {VERSION}",
            "model": dossier.model,
            "number": dossier.number,
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "root": checkpoint.root.hex(),
            "missing": dossier.missing,
            "members": [
                {
                    "name": name,
                    "sha256": digest_of_bytes(data).removeprefix("sha256:"),
                    "size_bytes": len(data),
                    "position": dossier.members[name].position if name in dossier.members else None,
                }
                for name, data in sorted(members.items())
            ],
        }
    )


def _seal(store: Store, manifest: bytes) -> bytes:
    """Sign the manifest with the key that signs the ledger, in a form that is never taken for a checkpoint."""
    return store.keys.of(store.origin).sign(f"{SEAL}\n{digest_of_bytes(manifest)}\n").encode()
