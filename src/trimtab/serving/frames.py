"""How decisions lie in an open segment: framed MessagePack, appended, each frame with its length and its checksum.

A segment begins with an ``Opening``. A ``Layout`` says once what its entries have in common (version, columns,
outputs); an ``Entry`` holds the rows of one request that one version decided on.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from mmap import mmap
from typing import Any, NamedTuple

import msgspec

from trimtab.serving.records import Kind, OutputKind, Scalar, Source, Stage

FORMAT = 1
LAYOUT_TAG, ENTRY_TAG = 1, 2
_HEAD = struct.Struct("<II")
"""Length of the payload in bytes, CRC-32 of the payload."""
LIMIT = 1 << 30
_BEGINNING = re.compile(rb"[\x90-\x9f][\x00-\x02]")
"""How a payload begins: the header of a short array, then the tag of a frame."""


class Opening(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """The first frame of a segment. ``at_us`` is microseconds since 1970."""

    format: int
    segment_id: str
    endpoint: str
    at_us: int


class Layout(msgspec.Struct, frozen=True, array_like=True, tag=LAYOUT_TAG):
    """What the entries that refer to ``number`` share: the version that decided, its columns, its outputs."""

    number: int
    model: str
    version: int
    release: str
    columns: tuple[tuple[str, Kind], ...]
    outputs: tuple[tuple[str, OutputKind], ...]


class Entry(msgspec.Struct, array_like=True, tag=ENTRY_TAG):
    """The rows of one request that one version decided on. Lists hold one item for each row, outputs one list each.

    ``as_of_us`` None: the features are of the moment of the answer. ``keys`` and ``ages_s`` are None for rows that
    were given in full. ``mirrors`` are the answered ids, for a shadow. ``broken`` says of each row what it breaks of
    its contract; None: no row breaks it.
    """

    layout: int
    at_us: int
    source: Source
    stage: Stage
    reason: str
    latency_us: int
    ids: list[str]
    values: list[Any]
    outputs: list[list[Any]]
    keys: list[dict[str, Scalar] | None] | None = None
    ages_s: list[Any] | None = None
    as_of_us: list[int] | None = None
    mirrors: list[str] | None = None
    broken: list[list[str] | None] | None = None


Frame = Opening | Layout | Entry
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


class Scan(msgspec.Struct):
    """How far a segment's bytes are good: the end of the last whole frame, and how many before it are damaged."""

    end: int = 0
    damaged: int = 0


def framed(frame: Frame, buffer: bytearray) -> None:
    """Write one frame into ``buffer``, replacing what it held."""
    _encoder.encode_into(frame, buffer, _HEAD.size)
    payload = memoryview(buffer)[_HEAD.size :]
    checksum, size = zlib.crc32(payload), len(payload)
    payload.release()
    _HEAD.pack_into(buffer, 0, size, checksum)


class Place(NamedTuple):
    """Where a frame's payload lies, and which kind of frame it is (a struct's tag)."""

    start: int
    end: int
    tag: int


def places_in(data: bytes | memoryview | mmap) -> list[Place]:
    """Return where the frames of a segment lie, without reading them: the quick way to a few of many."""
    places, at, size = [], 0, len(data)
    while at + _HEAD.size + 2 <= size:
        length, _ = _HEAD.unpack_from(data, at)
        start = at + _HEAD.size
        at = start + length
        if length == 0 or at > size:
            break
        places.append(Place(start, at, data[start + 1]))  # an array's header, then the tag
    return places


def frame_at(data: bytes | memoryview | mmap, place: Place) -> Frame | None:
    """Return the frame at a place; None when it is torn or damaged."""
    _, checksum = _HEAD.unpack_from(data, place.start - _HEAD.size)
    return _decoded(memoryview(data)[place.start : place.end], checksum)


def frames_in(data: bytes | memoryview, scan: Scan | None = None) -> Iterator[Frame]:
    """Yield the whole frames of a segment, in order. A torn frame ends it; a damaged one inside is passed over.

    ``scan`` is filled in as the iteration goes.
    """
    scan = scan if scan is not None else Scan()
    view, at, lost = memoryview(data), 0, False
    while at + _HEAD.size <= len(view):
        end = _end_of(view, at)
        frame = None if end is None else _decoded_at(view, at, end)
        if end is not None and frame is not None:
            scan.end, scan.damaged = end, scan.damaged + lost
            at, lost = end, False
            yield frame
            continue
        lost = True  # counts only if good frames follow: else it is a torn tail
        following = _next_frame(view, at, end)
        if following is None:
            size, _ = _HEAD.unpack_from(view, at)
            if (size == 0 or size > LIMIT) and any(view[at:]):
                scan.damaged += 1  # not a length that was ever written, and not the zeros that a lost power leaves
            return
        at = following


def _end_of(view: memoryview, at: int) -> int | None:
    """Return where the frame that begins here ends; None when its length cannot be one."""
    size, _ = _HEAD.unpack_from(view, at)
    end: int = at + _HEAD.size + size
    return end if 0 < size <= LIMIT and end <= len(view) else None


def _next_frame(view: memoryview, at: int, end: int | None) -> int | None:
    """Return where the next whole frame begins after one that is none; None when there is none.

    That is where the bad one ends, unless the damage is in its length: then every place is tried that looks like one.
    """
    if end is not None and end + _HEAD.size <= len(view):
        after = _end_of(view, end)
        if after is not None and _decoded_at(view, end, after) is not None:
            return end
    for found in _BEGINNING.finditer(view, at + _HEAD.size + 1):
        start = found.start() - _HEAD.size
        after = _end_of(view, start)
        if after is not None and _decoded_at(view, start, after) is not None:
            return start
    return None


def _decoded_at(view: memoryview, at: int, end: int) -> Frame | None:
    _, checksum = _HEAD.unpack_from(view, at)
    return _decoded(view[at + _HEAD.size : end], checksum)


def _decoded(payload: memoryview, checksum: int) -> Frame | None:
    if zlib.crc32(payload) != checksum:
        return None
    try:
        return _decoder.decode(payload)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
