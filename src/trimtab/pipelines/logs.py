"""What a step printed: one file for each attempt, readable while it grows."""

from pathlib import Path

import msgspec

from trimtab.kernel import Invalid, Settings
from trimtab.pipelines.find import get_pipeline_run, step_named
from trimtab.store import Store

PIECE_BYTES = 1 << 16


class LogPiece(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a log. Ask again from ``next_offset`` (bytes) until ``is_complete``."""

    attempt: int
    text: str
    next_offset: int
    is_complete: bool


class LogEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a log of ``size_bytes``: what comes after the first ``skipped_bytes``."""

    attempt: int
    text: str
    size_bytes: int
    skipped_bytes: int


def log_path(settings: Settings, run_id: str, step: str, attempt: int) -> Path:
    """Return where an attempt's standard output and error are written."""
    return log_folder(settings, run_id) / f"{step}.{attempt}.log"


def log_folder(settings: Settings, run_id: str) -> Path:
    """Return the folder of all logs of a run."""
    return settings.home_path / "logs" / run_id


def read_log(
    store: Store, run_id: str, step: str, *, attempt: int | None = None, offset: int = 0, limit: int = PIECE_BYTES
) -> LogPiece:
    """Return up to ``limit`` bytes of a step's log from a byte offset, of its last attempt unless another is named.

    Raises ``NotFound`` for an unknown run or step, ``Invalid`` for an attempt that never was. Logs are files of the
    machine that ran the step: elsewhere the text is empty.
    """
    found = step_named(get_pipeline_run(store, run_id), step)
    wanted = found.attempts if attempt is None else attempt
    if offset < 0 or limit < 4 or (attempt is not None and not 1 <= attempt <= found.attempts):
        raise Invalid(
            f"step {step} has no attempt {attempt}, or the offset or the limit is not a size",
            where=f"pipeline run {run_id}",
            why=f"It was started {found.attempts} times; offset and limit count bytes.",
            next="leave attempt out for the newest, and begin at offset 0",
        )
    is_over = wanted < found.attempts or found.status.is_final
    data = _read(log_path(store.settings, run_id, step, wanted), offset, limit) if wanted else b""
    whole = _whole_characters(data) if len(data) == limit or not is_over else data
    return LogPiece(
        attempt=wanted,
        text=whole.decode("utf-8", "replace"),
        next_offset=offset + len(whole),
        is_complete=is_over and len(data) < limit,
    )


def read_log_end(store: Store, run_id: str, step: str, *, attempt: int | None = None, limit: int) -> LogEnd:
    """Return the last ``limit`` bytes of a step's log, as ``read_log`` would find them. Raises what it raises."""
    wanted = read_log(store, run_id, step, attempt=attempt, limit=4).attempt
    path = log_path(store.settings, run_id, step, wanted)
    size = path.stat().st_size if wanted and path.exists() else 0
    data = _read(path, max(0, size - limit), limit) if size else b""
    if size > limit:  # not in the middle of a character
        data = data.lstrip(bytes(range(0x80, 0xC0)))
    return LogEnd(
        attempt=wanted, text=data.decode("utf-8", "replace"), size_bytes=size, skipped_bytes=max(0, size - len(data))
    )


def note(settings: Settings, run_id: str, step: str, attempt: int, text: str) -> None:
    """Add a line of Trimtab's own to a log, where the step cannot write any more."""
    path = log_path(settings, run_id, step, attempt)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"trimtab: {text}\n")


def _read(path: Path, offset: int, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(limit)
    except FileNotFoundError:
        return b""


def _whole_characters(data: bytes) -> bytes:
    """Leave out a character of UTF-8 at the end whose last bytes are still to come."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 != 0x80:
            length = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return data[:-back] if length > back else data
    return data
