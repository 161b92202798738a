"""Verify an evidence pack or an exported ledger with nothing but Python's standard library (3.11 or newer).

    python verify_offline.py late.zip [--key KEY] [--checkpoint FILE]

Trimtab need not be installed; a copy of this file lies in every pack. Get it, and the public key, from somebody whom
you trust: a copy that comes with a forged pack may be forged too. Ends with 0 intact, 1 tampered (names the first bad
member or position), 2 not provable (says why), 3 a mistake in the command line.
"""

import argparse
import base64
import hashlib
import io
import json
import re
import struct
import sys
import zlib
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

INTACT, TAMPERED, NOT_PROVABLE, USAGE = 0, 1, 2, 3
WORDS = ("intact", "tampered", "not provable", "usage")
PACK, LOG, SEAL = "trimtab-evidence", "trimtab-ledger", "trimtab.evidence/v1"
KEYS, KEY_REPLACED = "ledger/keys.jsonl", "store.key-replaced"


_ODD = (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError)
"""What reading raises when something has not the form in which it was written."""


class Found(NamedTuple):
    """What a verification came to: an exit code, the verdict in one sentence, and what it rests on."""

    code: int
    what: str
    origin: str = ""
    events: int = 0
    root: bytes = b""
    bad: str | int | None = None
    proved: tuple[str, ...] = ()
    unproved: tuple[str, ...] = ()


class Bad(Exception):
    """Something is not what was signed, or not what the ledger says: the first bad member or position."""

    def __init__(self, what: str, where: str | int | None = None, code: int = TAMPERED) -> None:
        super().__init__(what)
        self.what, self.where, self.code = what, where, code


def hold(condition: object, what: str, where: str | int | None = None) -> None:
    """Raise ``Bad`` unless a condition holds."""
    if not condition:
        raise Bad(what, where)


# --- Ed25519, from RFC 8032, section 5.1: points in extended coordinates -------------------------------------------

_P, _L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
_D, _ROOT = -121665 * pow(121666, _P - 2, _P) % _P, pow(2, (_P - 1) // 4, _P)
Point = tuple[int, int, int, int]


def _add(p: Point, q: Point) -> Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % _P, (p[1] + p[0]) * (q[1] + q[0]) % _P
    c, d = 2 * p[3] * q[3] * _D % _P, 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _point(data: bytes) -> Point | None:
    y = int.from_bytes(data, "little") & ((1 << 255) - 1)
    u, v = y * y - 1, _D * y * y + 1
    x2 = u * pow(v, _P - 2, _P) % _P
    x = pow(x2, (_P + 3) // 8, _P)
    x = x if (x * x - x2) % _P == 0 else x * _ROOT % _P
    if y >= _P or (x * x - x2) % _P or (x == 0 and data[31] >> 7):
        return None
    x = x if x & 1 == data[31] >> 7 else _P - x
    return x, y, 1, x * y % _P


_BASE = _point((4 * pow(5, _P - 2, _P) % _P).to_bytes(32, "little"))


def ed25519_verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether a signature (64 bytes) over a message is by a public key (32 bytes)."""
    if len(key) != 32 or len(signature) != 64:
        return False
    a, r, s = _point(key), _point(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or _BASE is None or s >= _L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % _L
    minus: Point = (-a[0] % _P, a[1], 1, -a[3] % _P)
    table, q = (None, _BASE, minus, _add(_BASE, minus)), (0, 1, 1, 0)
    for bit in range(252, -1, -1):  # s B - h A, both at once
        q = _add(q, q)
        if one := table[(s >> bit & 1) + 2 * (h >> bit & 1)]:
            q = _add(q, one)
    return (q[0] - r[0] * q[2]) % _P == 0 and (q[1] - r[1] * q[2]) % _P == 0


# --- signed notes and checkpoints (C2SP signed-note, tlog-checkpoint) ----------------------------------------------


def _b64(text: str) -> bytes:
    """Decode base64, of which only one spelling counts; anything else is empty."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return b""
    return data if base64.b64encode(data).decode() == text else b""


class Key(NamedTuple):
    """A public key, written ``name+id+base64``."""

    name: str
    id: bytes
    raw: bytes

    @classmethod
    def parse(cls, text: str) -> "Key | None":
        name, _, rest = text.strip().partition("+")
        id_, _, encoded = rest.partition("+")
        data = _b64(encoded)
        known = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
        return cls(name, known, data[1:]) if name and len(data) == 33 and data[0] == 1 and id_ == known.hex() else None

    def signed(self, note: str) -> bool:
        """Say whether this key signed a note; each of its signatures must be right."""
        text, _, lines = note.rpartition("\n\n")
        parts = [line.removeprefix("\N{EM DASH} ").rpartition(" ") for line in lines.split("\n")]
        found = [_b64(encoded) for name, _, encoded in parts if name == self.name]
        own = [signature[4:] for signature in found if signature[:4] == self.id]
        return bool(own) and all(ed25519_verify(self.raw, (text + "\n").encode(), signature) for signature in own)


def followed(keys: Iterable[str], replaced: Iterable[Any]) -> list[Key]:
    """Return trusted keys and those that took their place, as ``replaced`` tells in order and both keys have signed."""
    known = [key for key in map(Key.parse, keys) if key]
    for said in replaced:
        try:
            old, new = Key.parse(said["old"]), Key.parse(said["new"])
            told = "trimtab.key/1\n{ledger}\n{size}\n{root}\n{old}\n{new}\n".format_map(said).encode()
            if old in known and old and new and said["ledger"] == old.name == new.name:
                both = ((old, said["by_old"]), (new, said["by_new"]))
                known += [new] if all(ed25519_verify(key.raw, told, _b64(by or "")) for key, by in both) else []
        except _ODD:
            continue
    return known


_NOTE = re.compile(
    r"([^\x00-\x1f]+)\n(0|[1-9][0-9]{0,18})\n([^\x00-\x1f]+)\n(?:[^\x00-\x1f]+\n)*\n(?:\N{EM DASH} [^\x00-\x1f]*\n)+"
)


class Checkpoint(NamedTuple):
    """What a signed checkpoint says, and its whole note."""

    origin: str
    size: int
    root: bytes
    note: str

    @classmethod
    def parse(cls, note: str) -> "Checkpoint | None":
        found = _NOTE.fullmatch(note) if len(note) <= 1 << 16 else None
        root = _b64(found[3]) if found else b""
        return cls(found[1], int(found[2]), root, note) if found and len(root) == 32 else None


# --- the Merkle tree of RFC 9162, section 2.1 ----------------------------------------------------------------------


def _leaf(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def includes(leaf: bytes, position: int, size: int, path: Iterable[bytes], root: bytes) -> bool:
    """Say whether ``path`` leads from the leaf at a position to the root of a tree of ``size`` leaves."""
    node, index, last = leaf, position, size - 1
    for other in path:
        if not 0 <= index <= last or last == 0:
            return False
        if index & 1 or index == last:
            node = _node(other, node)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = _node(node, other)
        index, last = index >> 1, last >> 1
    return index == 0 == last and node == root


# --- the archive: stored members, sorted by name; the same members always give the same bytes ----------------------

_LOCAL, _CENTRAL, _END = struct.Struct("<4s5H3L2H"), struct.Struct("<4s6H3L5H2L"), struct.Struct("<4s4H2LH")
_FIXED = (20, 0x800, 0, 0, 0x21)  # version 2.0, names in UTF-8, stored, 1980-01-01 00:00


def zipped(members: dict[str, bytes]) -> bytes:
    """Return the archive of these members."""
    body, listed = bytearray(), bytearray()
    for name in sorted(members):
        data, raw, at = members[name], name.encode(), len(body)
        sizes = (zlib.crc32(data), len(data), len(data), len(raw))
        body += _LOCAL.pack(b"PK\x03\x04", *_FIXED, *sizes, 0) + raw + data
        listed += _CENTRAL.pack(b"PK\x01\x02", 0x314, *_FIXED, *sizes, 0, 0, 0, 0, 0o100644 << 16, at) + raw
    return bytes(body + listed + _END.pack(b"PK\x05\x06", 0, 0, *[len(members)] * 2, len(listed), len(body), 0))


def _unzipped(data: bytes) -> tuple[dict[str, bytes], str]:
    """Return the members that can be read, and what is wrong with the archive; no other byte may be in it."""
    members: dict[str, bytes] = {}
    at, name, bad = 0, "the first member", ""
    while data[at : at + 4] == b"PK\x03\x04" and at + _LOCAL.size <= len(data):
        *_, crc, _, size, length, extra = _LOCAL.unpack_from(data, at)
        start = at + _LOCAL.size + length + extra
        name = data[at + _LOCAL.size : at + _LOCAL.size + length].decode("utf-8", "replace")
        if start + size > len(data) or name in members:
            return members, name
        members[name] = data[start : start + size]
        bad = bad or (name if zlib.crc32(members[name]) != crc else "")
        at = start + size
    whole = list(members) == sorted(members) and zipped(members) == data
    return members, "" if whole else bad or "what it says of its members"


def _members(data: bytes) -> dict[str, bytes]:
    """Return the members, each one the one that the manifest lists. Raises ``Bad`` for the first that is not."""
    members, damaged = _unzipped(data)
    try:
        listed = {one["name"]: one["sha256"] for one in json.loads(members["manifest.json"])["members"]}
        seal = members["manifest.sig"].decode()
    except (ValueError, KeyError, TypeError):
        raise Bad(f"the manifest or its signature is missing or cannot be read: {damaged}", "manifest.json") from None
    digest = hashlib.sha256(members["manifest.json"]).hexdigest()
    sealed = seal.startswith(f"{SEAL}\nsha256:{digest}\n\n")
    hold(sealed, "the manifest is not the one that was signed", "manifest.json")
    for name in sorted({*members, *listed} - {"manifest.json", "manifest.sig"}):
        hold(name in members, f"{name} is missing or cannot be read", name)
        right = hashlib.sha256(members[name]).hexdigest() == listed.get(name)
        hold(right, f"{name} is not the member that was signed", name)
    hold(not damaged, f"the archive is damaged at {damaged}", damaged)
    return members


# --- evidence packs ------------------------------------------------------------------------------------------------


class Pack:
    """An evidence pack; its signatures, members and proofs are checked when it is made."""

    def __init__(self, data: bytes) -> None:
        self.members, self._read = _members(data), dict[str, Any]()
        self.manifest = self.json("manifest.json")
        key, checkpoint = Key.parse(self.text("ledger/key.txt")), Checkpoint.parse(self.text("ledger/checkpoint.txt"))
        if key is None or checkpoint is None:
            raise Bad("the key or the checkpoint cannot be read", "ledger/checkpoint.txt")
        self.key, self.checkpoint, self.events = key, checkpoint, dict[int, dict[str, Any]]()
        seal = self.text("manifest.sig")
        hold(key.signed(seal) and seal.count("\n") == 4, "the manifest is not signed by its key", "manifest.sig")
        if (self.manifest["format"], self.manifest["version"]) != (PACK, 1):
            raise Bad("it is signed, and of a form that only a newer verify_offline.py knows", None, NOT_PROVABLE)
        named = tuple(self.manifest[name] for name in ("origin", "size", "root"))
        same = named == (checkpoint.origin, checkpoint.size, checkpoint.root.hex()) and key.name == checkpoint.origin
        hold(same and key.signed(checkpoint.note), "the checkpoint is not signed by its key", "ledger/checkpoint.txt")
        for line in self.text("ledger/events.jsonl").splitlines():
            self._add(json.loads(line))
        self.replaced = [json.loads(line) for line in self.members.get(KEYS, b"").splitlines()]

    def _add(self, proof: dict[str, Any]) -> None:
        entry, path, (_, size, root, _) = json.loads(proof["entry"]), map(_b64, proof["path"]), self.checkpoint
        position, raw = entry["position"], proof["entry"].encode()
        hold(position > next(reversed(self.events), -1), "the events are not in the ledger's order", position)
        hold(includes(_leaf(raw), position, size, path, root), f"event {position} was never in the ledger", position)
        self.events[position] = entry["event"]

    def text(self, name: str) -> str:
        return self.members[name].decode()

    def json(self, name: str) -> Any:
        if name not in self._read:
            self._read[name] = json.loads(self.members[name])
        return self._read[name]

    def digest(self, name: str) -> str:
        return "sha256:" + hashlib.sha256(self.members[name]).hexdigest()

    def of(self, type_: str, **data: Any) -> list[int]:
        """Return the positions of the events of a type whose data has these values."""
        return [
            at for at, event in self.events.items()
            if event["type"] == type_ and all(event["data"].get(name) == value for name, value in data.items())
        ]  # fmt: skip

    def one(self, name: str, type_: str, **data: Any) -> dict[str, Any]:
        """Return the data of the first event that vouches for a member. Raises ``Bad`` when there is none."""
        found = self.of(type_, **data)
        hold(found, f"the ledger does not vouch for {name}", name)
        said: dict[str, Any] = self.events[found[0]]["data"]
        return said


def _same(name: str, record: dict[str, Any], said: dict[str, Any], fields: str) -> None:
    for field in fields.split():
        hold(record[field] == said[field], f"{field} in {name} is not what the ledger says", name)


_STATUS = {"registered": "candidate", "approved": "approved", "rejected": "rejected", "retired": "retired"}


def _check_records(pack: Pack) -> None:
    """Hold every record in the pack to the events that vouch for it."""
    model, number, bound = pack.manifest["model"], pack.manifest["number"], pack.digest("covered.json")
    covered, status = pack.json("covered.json"), ""
    entered = pack.one("covered.json", "registry.version-registered", model=model, number=number, covered=bound)
    _same("version.json", pack.json("version.json"), entered, "model number covered evaluation_id verdict_passed")
    for at in sorted(at for word in _STATUS for at in pack.of(f"registry.version-{word}", model=model, number=number)):
        status = _STATUS[pack.events[at]["type"].removeprefix("registry.version-")]
    hold(pack.json("version.json")["status"] == status, "its status is not what its events say", "version.json")
    for name, part in (("params", "params"), ("environment", "environment"), ("policy", "policy")):
        right = f"{name}.json" not in pack.members or pack.digest(f"{name}.json") == covered[part]
        hold(right, f"{name}.json is not what was approved", f"{name}.json")
    for name in sorted(pack.members):
        try:
            _check_record(pack, name, covered, bound)
        except _ODD as error:
            raise Bad(f"{name} lacks what it must hold: {error!r}", name) from None
    for fact in _facts(pack.json("card.json")):
        found = [_looked_up(pack, source) for source in fact["sum_of"] or [fact["source"]]]
        hold((sum(found) if fact["sum_of"] else found[0]) == fact["value"], f"the card misquotes {fact}", "card.json")


def _check_record(pack: Pack, name: str, covered: dict[str, Any], bound: str) -> None:
    match name.split("/"):
        case ["data", _]:
            _check_snapshot(pack, name, covered)
        case ["approvals", _]:
            _check_approval(pack, name, bound)
        case ["releases", _, "statement.json"]:
            _check_release(pack, name, bound)
        case ["evaluation", "report.json"]:
            _check_evaluation(pack, name, covered)
        case ["run", part]:
            sealed = pack.events[pack.of("tracking.run-finished")[-1]]["data"]["seal"]
            right = pack.digest(name) == sealed[part.removesuffix(".json")]
            hold(right, f"{name} is not what the run's seal says", name)
        case ["environment", "run.json"]:
            kept = {row[0]: row[1] for row in pack.json("run/artifacts.json")}
            right = kept["environment/environment.json"] == pack.digest(name)
            hold(right, f"{name} is not the file that the run kept", name)
        case ["features.json"] if "policy.json" in pack.members:
            right = pack.json("policy.json")["view"] == _without_places(pack.json(name))
            hold(right, f"{name} is not the declaration that was in force", name)
        case ["turns", _]:
            told = [e["data"]["digest"] for e in pack.events.values() if e["data"].get("turn") == name[6:-5]]
            hold(told[-1] == pack.digest(name), f"{name} is not the turn that the ledger tells of", name)
        case ["policies", _] | ["pipeline.json"]:
            type_, part = ("loop.policy-proposed", "digest") if "/" in name else ("pipelines.run-submitted", "spec")
            pack.one(name, type_, **{part: pack.digest(name)})


def _check_snapshot(pack: Pack, name: str, covered: dict[str, Any]) -> None:
    record = pack.json(name)
    said = pack.one(name, "data.snapshot-taken", snapshot_id=record["id"])
    fields = "source contract contract_digest digest set_aside_digest content_digest rows set_aside_rows"
    _same(name, record, said, fields)
    hold(record["digest"] in covered["data"], f"the version was not trained on {name}", name)


def _check_approval(pack: Pack, name: str, bound: str) -> None:
    record = pack.json(name)
    found = pack.of(f"registry.version-{record['outcome']}", approval=record["id"], covered=bound)
    hold(found, f"the ledger does not vouch for {name}", name)
    event = pack.events[found[0]]
    said = event["data"] | {"by": event["actor"], "at": event["at"], "event_id": event["id"]}
    said |= {"because": event["data"]["reason"], "bound_to": bound, "covered": pack.json("covered.json")}
    fields = "by at event_id because bound_to covered"
    if record["outcome"] == "approved":
        said["limits"] = {part: said[part] for part in record["limits"]}
        fields += " role meaning self_approved override limits"
    _same(name, record, said, fields)


def _check_release(pack: Pack, name: str, bound: str) -> None:
    said, place = pack.json(name), name.replace("statement.json", "signature.json")
    issued = pack.one(name, "registry.release-issued", release=said["id"], release_digest=pack.digest(name))
    signed = pack.json(place)
    raw = bytes.fromhex(signed["public_key"])
    id_ = "ed25519:" + hashlib.sha256(raw).hexdigest()[:16]
    hold(id_ == signed["key"] == issued["key"], f"{name} is signed by another key than was issued", place)
    right = ed25519_verify(raw, pack.members[name], _b64(signed["signature"]))
    hold(right, f"{name} is not signed by its key", place)
    approved = pack.of("registry.version-approved", approval=said["approval"], covered=bound)
    hold(said["covered"] == bound and said["position"] in approved, f"{name} names another approval", name)
    told = pack.events[said["position"]]["data"]
    right = all(said.get(part) == told.get(part) for part in ("endpoint", "expires_at"))
    hold(right, f"{name} holds at another endpoint or for longer than was approved", name)


def _check_evaluation(pack: Pack, name: str, covered: dict[str, Any]) -> None:
    report, digest = pack.json(name), pack.digest(name)
    said = pack.one(name, "evaluation.evaluation-saved", report_digest=digest)
    _same(name, report, said, "model_digest dataset_digest code_digest")
    passed = report["verdict"]["passed"] if report["verdict"] else None
    measured = [covered["artifact"], *(one["digest"] for one in covered["also"])]
    right = (digest, passed) == (covered["evaluation"], covered["verdict_passed"]) and report[
        "model_digest"
    ] in measured
    hold(right, f"{name} is not the evaluation that was approved", name)


def _facts(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every value of the card that names where it was read."""
    if isinstance(value, dict) and (value.get("source") or value.get("sum_of")):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _facts(item)


def _looked_up(pack: Pack, source: str) -> Any:
    """Return what stands at ``member#/json/pointer`` (RFC 6901)."""
    member, _, pointer = source.partition("#")
    value: Any = pack.events if member == "ledger/events.jsonl" else pack.json(member)
    for raw in pointer.split("/")[1:]:
        step = raw.replace("~1", "/").replace("~0", "~")
        value = value[step] if isinstance(value, dict) and step in value else value[int(step)]
    return value


def order_of(pack: Pack) -> tuple[list[tuple[str, int]], list[str]]:
    """Return the steps of a version's life with their positions, and what keeps their order from being proved."""
    covered, bound = pack.json("covered.json"), pack.digest("covered.json")
    model, number = pack.manifest["model"], pack.manifest["number"]
    data = [pack.of("data.snapshot-taken", digest=digest)[:1] for digest in covered["data"]]
    routed = [at for at in pack.of("serving.routing-changed") if _names(pack.events[at]["data"]["now"], model, number)]
    steps = {
        "data check": [max(data)[0]] if data and all(data) else [],
        "evaluation": pack.of("evaluation.evaluation-saved", report_digest=covered["evaluation"]),
        "approval": pack.of("registry.version-approved", model=model, number=number, covered=bound),
        "rollout": routed,
    }
    reached = max((i for i, found in enumerate(steps.values()) if found), default=-1)
    why = [f"that there was any {name}" for name, found in list(steps.items())[:reached] if not found]
    known = [(name, found[0]) for name, found in steps.items() if found]
    why += [f"that the {a} (event {i}) came before the {b} (event {j})" for (a, i), (b, j) in pairwise(known) if i >= j]
    return known, why


def _names(routing: dict[str, Any] | None, model: str, number: int) -> bool:
    if routing is None or routing["model"] != model:
        return False
    return number in (routing["champion"], *routing["shadow"], *(one["version"] for one in routing["canary"]))


def _gate(pack: Pack) -> list[str]:
    """Say when the gate was fixed, if the pipeline's submission proves it."""
    if not {"pipeline.json", "policy.json"} <= set(pack.members):
        return []
    models = [step["params"].get("model") for step in pack.json("pipeline.json")["steps"]]
    at = pack.of("pipelines.run-submitted", spec=pack.digest("pipeline.json"))[0]
    fixed = pack.json("policy.json") in [_without_places(model) for model in models]
    return [f"the conditions of the gate were fixed at event {at}, with the order to train"] if fixed else []


def _without_places(value: Any, inside: str = "") -> Any:
    if isinstance(value, dict):
        kept = {name: item for name, item in value.items() if name != "where" or inside == "params"}
        return {name: _without_places(item, name) for name, item in kept.items()}
    return [_without_places(item, inside) for item in value] if isinstance(value, list) else value


def verify_pack(data: bytes, keys: Iterable[str] = (), notes: Iterable[str] = ()) -> Found:
    """Verify the bytes of an evidence pack. ``keys`` are public keys that you trust, ``notes`` checkpoints you kept."""
    origin = ""
    try:
        pack = Pack(data)
        origin, size, root, _ = pack.checkpoint
        for note in map(Checkpoint.parse, notes):
            other = note and note[:2] == (origin, size) and note.root != root
            hold(not other, "a checkpoint that you gave knows another history of this size", "ledger/checkpoint.txt")
        _check_records(pack)
        steps, why = order_of(pack)
        proved = [
            f"the members are those that were signed, and {len(pack.events)} events stand where they say, of {size}",
            "the records are those that the events vouch for, and the card quotes them rightly",
            " < ".join(f"{name} (event {at})" for name, at in steps) or "nothing of its life yet",
            *_gate(pack),
        ]
    except Bad as bad:
        return Found(bad.code, bad.what, origin, bad=bad.where)
    except (*_ODD, struct.error) as error:
        return Found(TAMPERED, f"a record lacks what it must hold: {type(error).__name__} {error}", origin)
    subject, unproved = f"{pack.manifest['model']}@{pack.manifest['number']}", [*why, *pack.manifest["missing"]]
    unproved.append("that nothing else happened to it: a pack proves what is in it, only the whole ledger the rest")
    code, what = INTACT, f"the evidence of {subject} is intact"
    if pack.key not in followed(keys, pack.replaced):
        code, what = NOT_PROVABLE, f"no error was found in the evidence of {subject}, but its key is not known"
        unproved.append(f"who signed it: nothing outside of the pack vouches for {pack.text('ledger/key.txt').strip()}")
    elif why:
        code, what = NOT_PROVABLE, f"the evidence of {subject} is as it was signed, and does not prove {why[0]}"
    return Found(code, what, origin, size, root, None, tuple(proved), tuple(unproved))


# --- exported ledgers ----------------------------------------------------------------------------------------------


def verify_log(data: bytes, keys: Iterable[str] = (), notes: Iterable[str] = ()) -> Found:
    """Verify the bytes of an exported ledger (``trimtab verify --export``)."""
    origin = ""
    try:
        first, _, rest = data.partition(b"\n")
        header = json.loads(first)
        origin, expected = header["origin"], header["size"]
        signed = [{name: one[name] for name in ("size", "note", "key")} for one in header["checkpoints"]]
        kept = {"format": LOG, "version": 1, "origin": origin, "size": expected, "checkpoints": signed}
        written = json.dumps(kept, separators=(",", ":"), ensure_ascii=False).encode()
        right = written == first and all(type(one["size"]) is int for one in (header, *signed))
        hold(right, "the header is not as it was written", "header")
        notes = list(notes)
        anchors, covered, strangers = _anchors(header, followed(keys, _replaced(rest)), notes)
        root, size = _replayed(rest, anchors)
        hold(size == expected, f"there are {size} events where there should be {expected}", min(size, expected))
    except Bad as bad:
        return Found(TAMPERED, bad.what, origin, bad=bad.where)
    except _ODD:
        return Found(TAMPERED, "the header of the exported ledger is not one", origin, bad="header")
    proved = [f"the {size} events and every hash of the tree agree with each other"]
    proved += [f"the first {covered} are what a key that you trust has signed, or what you kept"] if covered else []
    unproved = [f"who signed with {key}: nothing outside of the ledger vouches for it" for key in sorted(strangers)]
    longest = max((kept.size for kept in map(Checkpoint.parse, notes) if kept), default=0)
    if longest < size or not size:
        since = f"after the first {longest}" if longest else "at all"
        unproved.append(f"that no events {since} were cut off its end, together with their checkpoints")
    code, what = INTACT, f"the ledger is intact: {size} events"
    if covered < size:
        code, what = NOT_PROVABLE, f"no error was found, but {size - covered} events are under no known signature"
    return Found(code, what, origin, size, root, None, tuple(proved), tuple(unproved))


def _anchors(header: Any, known: list[Key], notes: Iterable[str]) -> tuple[dict[int, bytes], int, set[str]]:
    """Return the roots that the ledger must have had, the size that is trusted, and the keys that nobody knows."""
    anchors, covered, strangers = dict[int, bytes](), 0, set[str]()
    for note, size, text in [
        *((n, None, "") for n in notes),
        *((c["note"], c["size"], c["key"]) for c in header["checkpoints"]),
    ]:
        found, key = Checkpoint.parse(note), Key.parse(text)
        if found is None or found.origin != header["origin"]:
            raise Bad("a checkpoint cannot be read, or is of another ledger", "header")
        right = size is None or (size == found.size and key and key.name == found.origin and key.signed(note))
        hold(right, f"the checkpoint of {size} events is not what its key has signed", "header")
        hold(anchors.setdefault(found.size, found.root) == found.root, f"there are two histories of {size} events", 0)
        if size is None or key in known:
            covered = max(covered, found.size)
        else:
            strangers.add(text)
    return anchors, covered, strangers


def _replaced(data: bytes) -> Iterator[Any]:
    """Yield what the events say of keys that took the place of others."""
    marked = b'"type":"%b"' % KEY_REPLACED.encode()
    for line in io.BytesIO(data) if marked in data else ():
        if marked in line:
            try:
                yield json.loads(line)["event"]["data"]
            except _ODD:  # it is no event, as is found when the tree is made
                continue


def _replayed(data: bytes, anchors: dict[int, bytes]) -> tuple[bytes, int]:
    """Return the root and size of the tree that the lines make; raise ``Bad`` where an anchor knows better."""
    roots, position, good = list[bytes](), 0, 0
    hold(anchors.get(0, _root(roots)) == _root(roots), "a checkpoint knows another beginning", 0)
    for line in io.BytesIO(data):
        right = line.startswith(b'{"event":{') and line.endswith(b'},"position":%d}\n' % position)
        hold(right, f"line {position + 2} is not event {position}", position)
        node, index = _leaf(line[:-1]), position
        while index & 1:
            node, index = _node(roots.pop(), node), index >> 1
        roots.append(node)
        position += 1
        if position in anchors:
            changed = f"one of the events {good} to {position - 1} was changed, removed or put in"
            hold(anchors[position] == _root(roots), changed, good)
            good = position
    hold(
        max(anchors, default=0) <= position,
        f"the ledger ends after {position} events; a checkpoint knows more",
        position,
    )
    return _root(roots), position


def _root(roots: list[bytes]) -> bytes:
    node = roots[-1] if roots else hashlib.sha256(b"").digest()
    for left in reversed(roots[:-1]):
        node = _node(left, node)
    return node


# --- the command line ----------------------------------------------------------------------------------------------


def is_pack(data: bytes) -> bool:
    """Say whether bytes are an archive, or were one."""
    return data.startswith(b"PK\x03\x04") or b"PK\x05\x06" in data[-64:]


def verify_bytes(data: bytes, keys: Iterable[str] = (), notes: Iterable[str] = ()) -> Found:
    """Verify whatever these bytes are."""
    if not is_pack(data) and not data.startswith(b"{") and LOG.encode() not in data[:200]:
        return Found(NOT_PROVABLE, "this is neither an evidence pack nor an exported ledger, or nothing is left of it")
    found = (verify_pack if is_pack(data) else verify_log)(data, keys, notes)
    return Found(*(_printable(part) for part in found))


def _printable(part: Any) -> Any:
    """Take out of a text (or texts) what would act on a terminal instead of being read."""
    if isinstance(part, str):
        return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in part)
    return tuple(map(_printable, part)) if isinstance(part, tuple) else part


def main(arguments: list[str]) -> int:
    """Verify the file that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(description="Verify an evidence pack or an exported ledger of Trimtab.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--key", action="append", default=[], help="a public key that you trust, or a file with some")
    parser.add_argument("--checkpoint", action="append", default=[], type=Path, help="a checkpoint that you kept")
    try:
        given = parser.parse_args(arguments)
        keys = [text for key in given.key for text in (Path(key).read_text() if Path(key).is_file() else key).split()]
        notes = [path.read_text("utf-8") for path in given.checkpoint]
        data = given.file.read_bytes()
        hold(all(map(Key.parse, keys)) and all(map(Checkpoint.parse, notes)), "a key or checkpoint cannot be read")
    except SystemExit as ended:
        return USAGE if ended.code else INTACT
    except (ValueError, OSError, Bad) as error:
        sys.stderr.write(f"{error}\n{parser.format_usage()}")
        return USAGE
    found = verify_bytes(data, keys, notes)
    lines = [("ledger", found.origin), ("events", found.events), ("root", found.root.hex()), ("first bad", found.bad)]
    lines += [*(("proved", line) for line in found.proved), *(("unproved", line) for line in found.unproved)]
    told = [f"  {title:<9} {value}\n" for title, value in lines if value not in ("", None)]
    said = "".join([f"{WORDS[found.code]}: {found.what}\n", *told])
    encoding = sys.stdout.encoding or "utf-8"  # not every terminal has every letter, and none may end this in an error
    sys.stdout.write(said.encode(encoding, "backslashreplace").decode(encoding))
    return found.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
