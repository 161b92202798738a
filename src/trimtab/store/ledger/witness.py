"""What a home, or a client of a server, remembers of a ledger: trust on first use.

A ledger whose newest events and checkpoints were both deleted looks whole from inside. Only someone who kept a later
checkpoint can tell. So every answer to a change carries the newest one, and whoever asked keeps it here, in a file of
their own; ``verify`` holds the ledger against what was kept.
"""

import errno
import hashlib
import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from trimtab.kernel import Invalid, Refused, locked
from trimtab.store.ledger.notes import Checkpoint, PublicKey
from trimtab.store.ledger.tree import TILE

log = logging.getLogger("trimtab.store")

_THIN_AFTER = 1000
_AUTHENTIC: dict[str, Any] = {"authentic": True}
T = TypeVar("T")


class Witness:
    """The checkpoints and public keys that one home or client has seen, a file for each ledger in ``folder``.

    Losing the folder loses the memory and nothing else. Safe to share between threads and processes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._paths: dict[str, Path] = {}
        self._seen_keys: set[str] = set()
        self._newest: dict[str, int] = {}
        self._last_note = ""
        self._kept = 0

    def remember(self, note: str, *, key: str) -> Checkpoint:
        """Keep a checkpoint that a ledger answered with, and the public key that it came with.

        Raises ``Refused`` when the key did not sign it, or when another root is known for the same size.
        """
        checkpoint, public = Checkpoint.parse(note), PublicKey.parse(key)
        if public.name != checkpoint.origin or not public.signed(note):
            raise Refused(
                "a checkpoint is not signed by the key that it came with",
                where=f"ledger {checkpoint.origin}",
                why="Anyone on the way could have written it.",
                next="trimtab verify",
            )
        for known in self.checkpoints(checkpoint.origin):
            if known.size == checkpoint.size and known.root != checkpoint.root:
                raise Refused(
                    f"a ledger shows two histories of {known.size} events",
                    where=f"ledger {checkpoint.origin}",
                    why="A checkpoint of the same size and another root was kept earlier: one history was rewritten.",
                    next="trimtab verify",
                )
        self.keep(note, key=key)
        return checkpoint

    def keep(self, note: str, *, key: str) -> None:
        """Keep a checkpoint that comes from the client's own process; who signed it is not checked."""
        if note == self._last_note:
            return
        with self._lock:
            origin, size_text, _ = note.split("\n", 2)
            size = int(size_text)
            if size <= self._newest.get(origin, 0):
                return
            with _spared(origin):
                lines = []
                if key not in self._seen_keys:
                    known = {str(public) for public in self.keys(origin)}
                    lines += [] if key in known else [{"key": key}]
                self._append(origin, [*lines, {"note": note}])
                self._seen_keys.add(key)
                self._newest[origin], self._last_note = size, note
                self._kept += 1
                if self._kept % _THIN_AFTER == 0:
                    self._rewrite(origin, {c.size // TILE: c for c in self.checkpoints(origin)})

    def doubt(self, note: str) -> None:
        """Keep a checkpoint that a client has shown, and that the ledger does not go on from, whatever its size."""
        origin = note.partition("\n")[0]
        with self._lock, _spared(origin):
            self._append(origin, [{"shown": note}])

    def settle(self, origin: str, *, size: int) -> None:
        """Forget checkpoints that were shown to be consistent with a newer one of ``size``, which stays."""
        with self._lock, _spared(origin):
            self._rewrite(origin, {c.size: c for c in self.checkpoints(origin) if c.size >= size})

    def forget(self, origin: str) -> None:
        """Forget every checkpoint of a ledger: another history of it was accepted."""
        with self._lock, _spared(origin):
            self._rewrite(origin, {})
            self._newest.pop(origin, None)
            self._last_note = ""

    def keep_authentic(self, origin: str) -> None:
        """Remember that the events of a ledger are authenticated, so that it is never again taken for an older one."""
        if not self.is_authentic(origin):
            with self._lock, _spared(origin):
                self._append(origin, [_AUTHENTIC])

    def is_authentic(self, origin: str) -> bool:
        """Say whether the events of a ledger were ever seen to be authenticated."""
        return _AUTHENTIC in self._lines(origin)

    def keys(self, origin: str) -> tuple[PublicKey, ...]:
        """Return the public keys that were seen for a ledger, the first one first."""
        return tuple(_read(PublicKey.parse, self._lines(origin), "key"))

    def checkpoints(self, origin: str) -> tuple[Checkpoint, ...]:
        """Return what is remembered of a ledger, the smallest tree first."""
        lines = self._lines(origin)
        found = [*_read(Checkpoint.parse, lines, "note"), *_read(Checkpoint.parse, lines, "shown")]
        return tuple(sorted(found, key=lambda checkpoint: checkpoint.size))

    def ends(self, origin: str) -> tuple[Checkpoint, ...]:
        """Return what a ledger must go on from: the newest checkpoint, and any of those that were shown."""
        shown = tuple(_read(Checkpoint.parse, self._lines(origin), "shown"))
        return tuple(dict.fromkeys((*shown, *self.checkpoints(origin)[-1:])))

    def first_at(self, place: str, origin: str) -> str:
        """Return which ledger was the first to be seen at a place (a database); it is ``origin`` if none was before.

        A ledger names itself, so that whoever can write to the database can put one of another name in its place.
        """
        path = self._folder / self.place_name(place)
        try:
            return self._first_in(path) or self._put_first(path, place, origin)
        except OSError as error:
            log.warning("that %s was seen at %s is not kept: %s", origin, place, error.strerror)
            return origin

    def last_at(self, place: str) -> str:
        """Return which ledger was seen at a place (a server) when it was last kept; nothing if none was."""
        with suppress(OSError):
            return self._first_in(self._folder / self.place_name(place))
        return ""

    def keep_at(self, place: str, origin: str) -> None:
        """Remember which ledger is at a place now: another project may be served there tomorrow."""
        with self._lock, _spared(origin):
            self._folder.mkdir(parents=True, exist_ok=True)
            _put(self._folder / self.place_name(place), place, origin)

    def longest(self) -> Checkpoint | None:
        """Return the newest checkpoint of the longest ledger that was seen at any place of this home."""
        places = (_decoded(path.read_bytes()) or {} for path in self._folder.glob("at-*.json"))
        seen = [kept for place in places for kept in self.checkpoints(str(place.get("ledger", "")))]
        return max(seen, key=lambda kept: kept.size, default=None)

    def place_name(self, place: str) -> str:
        """Return the name of the file in which the first ledger at a place is kept."""
        return f"at-{hashlib.sha256(place.encode()).hexdigest()[:16]}.json"

    def _first_in(self, path: Path) -> str:
        try:
            line = _decoded(path.read_bytes()) or {}
        except FileNotFoundError:
            return ""
        return str(line.get("ledger", ""))

    def _put_first(self, path: Path, place: str, origin: str) -> str:
        self._folder.mkdir(parents=True, exist_ok=True)
        with locked(self._folder / "first.lock"):
            first = self._first_in(path)  # again: another process may have opened it in the same moment
            if not first:
                _put(path, place, origin)
        return first or origin

    def _path(self, origin: str) -> Path:
        path = self._paths.get(origin)
        if path is None:
            safe = "".join(c if c.isalnum() or c in "-." else "_" for c in origin)
            path = self._paths[origin] = self._folder / f"{safe}.jsonl"
        return path

    def _lines(self, origin: str) -> list[dict[str, Any]]:
        try:
            data = self._path(origin).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [line for text in data.split(b"\n") if (line := _decoded(text)) is not None]

    def _append(self, origin: str, lines: list[dict[str, Any]]) -> None:
        path = self._path(origin)
        if not self._kept:
            path.parent.mkdir(parents=True, exist_ok=True)
        # The leading newline closes a half line, so that it costs no more than itself.
        # By hand: every change that is waited for comes here, and a file object takes four times as long.
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        try:
            data = b"".join([b"\n" + msgspec.json.encode(line) for line in lines])
            if os.write(file, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(file)

    def _rewrite(self, origin: str, kept: dict[int, Checkpoint]) -> None:
        lines: list[dict[str, Any]] = [{"key": str(key)} for key in self.keys(origin)]
        lines += [_AUTHENTIC] if self.is_authentic(origin) else []
        lines += [{"note": checkpoint.note} for checkpoint in kept.values()]
        path = self._path(origin)
        if not path.exists():
            return
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            temporary.write_bytes(b"".join(b"\n" + msgspec.json.encode(line) for line in lines))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _put(path: Path, place: str, origin: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    temporary.write_bytes(msgspec.json.encode({"place": place, "ledger": origin}))
    temporary.replace(path)


@contextmanager
def _spared(origin: str) -> Iterator[None]:
    """Let what cannot be written be forgotten: the change or the proof that it came with stands all the same."""
    try:
        yield
    except OSError as error:
        log.warning("a checkpoint of %s is not kept: %s", origin, error.strerror)


def _read(parse: Callable[[str], T], lines: Iterable[dict[str, Any]], name: str) -> Iterator[T]:
    """Yield what can be read; a damaged line is no memory, and no reason to refuse what is asked for now."""
    for line in lines:
        if isinstance(text := line.get(name), str):
            with suppress(Invalid):
                yield parse(text)


def _decoded(text: bytes) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None  # an empty line, or half of one that a killed process left
