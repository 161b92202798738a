"""Read a CSV file as the texts that stand in it, so that 007 stays 007; what they mean is the contract's business.

The contract's names tell the dialect: the separator and the quote under which the header holds them. A file is cut into
blocks where rows end, never inside quotes, and the blocks are parsed side by side. Arrow cuts by itself as well, but at
line breaks inside quotes it refuses the file or, told to expect them, loses a byte of CRLF now and then.
"""

import codecs
import contextlib
import csv
import io
import re
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from trimtab.data.check import require_columns
from trimtab.declare import ContractSpec, FieldKind

BLOCK = 8 << 20
THREADS = 4
_SEPARATORS = (",", ";", "\t", "|")
_QUOTES = ('"', "'")
_HEAD = 1 << 20
_LINES_TO_A_HEADER = 100
# The marks of UTF-32 begin with those of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip

_SEP_LINE = re.compile(rb'"?sep=([^\w\s"\']|\t)"?\r?\n', re.IGNORECASE)
"""The first line of files that are made for Excel, which names the separator."""
_LIMIT = threading.Lock()

Bytes = npt.NDArray[np.uint8]


class Unreadable(ValueError):
    """A file that cannot be read; the text says why and in which line, ``todo`` what to do about it."""

    def __init__(self, why: str, todo: str) -> None:
        super().__init__(why)
        self.todo = todo


class _Dialect(NamedTuple):
    """How a file is written. ``begin`` is where its header is looked for: after a line that names the separator."""

    separator: str
    quote: str
    names: list[str]
    begin: int


class _StrayQuote(Exception):
    """A quote stands in the middle of a text without quotes: 5" pipe."""


def read_csv(path: Path, contract: ContractSpec) -> pa.Table:
    """Return the promised columns of a CSV file, as texts or as what they are; the others are columns of nulls.

    UTF-8 and, by their marks, UTF-16 and UTF-32; ``.gz`` is unpacked. Raises ``Unreadable``, ``MissingColumn``, and
    what opening the file raises.
    """
    data = _utf8_of(path)
    dialect = _dialect_of(data, contract)
    if not {field.name for field in contract.fields}.issubset(dialect.names):
        _refuse_header_elsewhere(data, dialect, contract)
    require_columns(contract, dialect.names)
    try:
        table = _parsed(data, dialect, contract)
    except _StrayQuote:
        table = _parsed_by_row(data, dialect, [field.name for field in contract.fields])
    columns = [table[name] if name in table.column_names else pa.nulls(table.num_rows) for name in dialect.names]
    return pa.Table.from_arrays(columns, names=dialect.names)


def _utf8_of(path: Path) -> pa.Buffer:
    """Return the bytes of a file, in UTF-8 and without a mark."""
    if path.suffix.lower() == ".gz":
        with pa.input_stream(str(path), compression="gzip") as file:
            data = file.read_buffer()
    else:
        # An empty file cannot be mapped.
        data = pa.memory_map(str(path)).read_buffer() if path.stat().st_size else pa.py_buffer(b"")
    head = data.slice(0, min(data.size, 1000)).to_pybytes()
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            try:
                return pa.py_buffer(data.to_pybytes().decode(encoding).encode())
            except UnicodeDecodeError as error:
                raise Unreadable(f"it begins as {encoding.upper()} and is not: {error.reason}", _SAVE) from None
    if b"\0" in re.split(rb"[\r\n]", head, maxsplit=1)[0]:
        raise Unreadable("its first line holds zero bytes, so it is UTF-16 without its mark, or no text at all", _SAVE)
    return data.slice(len(codecs.BOM_UTF8)) if head.startswith(codecs.BOM_UTF8) else data


_SAVE = "save the file as UTF-8, or read it with its own encoding in a function and return the frame"


def _dialect_of(data: pa.Buffer, contract: ContractSpec) -> _Dialect:
    """Return the dialect under which the header holds most of the promised names."""
    head = data.slice(0, min(data.size, _HEAD)).to_pybytes().decode(errors="replace")
    promised = {field.name for field in contract.fields}
    named = _SEP_LINE.match(head[:16].encode())
    begin = named.end() if named else 0
    separators = (named[1].decode(),) if named else _SEPARATORS
    found = [
        _Dialect(separator, quote, _header(head[begin:], separator, quote), begin)
        for quote in _QUOTES
        for separator in separators
    ]
    best = max(found, key=lambda one: len(promised.intersection(one.names)))  # of equals the first
    if "\ufffd" in "".join(best.names) and not promised.issubset(best.names):
        raise _not_utf8(data, head.encode().index("\ufffd".encode()))
    return best


def _header(head: str, separator: str, quote: str) -> list[str]:
    rows = csv.reader(io.StringIO(head, newline=""), delimiter=separator, quotechar=quote)
    try:
        with _cells_of_any_size():
            return next((row for row in rows if row), [])
    except csv.Error:
        return []


def _refuse_header_elsewhere(data: pa.Buffer, dialect: _Dialect, contract: ContractSpec) -> None:
    """Raise ``Unreadable`` when a later line, or another separator, would give all the promised names."""
    promised = {field.name for field in contract.fields}
    head = data.slice(0, min(data.size, _HEAD)).to_pybytes().decode(errors="replace")
    above = _line(data, dialect.begin) - 1
    lines = re.split(r"\r\n|\r|\n", head)[above:][:_LINES_TO_A_HEADER]
    looked_at = next((number for number, line in enumerate(lines) if line), 0)
    for number, line in enumerate(lines):
        for separator in (*_SEPARATORS, *sorted(set(re.findall(r"[^\w\s\"']| |\x01", line)).difference(_SEPARATORS))):
            other = separator not in _SEPARATORS or (dialect.begin and separator != dialect.separator)
            names = {name.strip(" \"'") for name in line.split(separator)}
            if not promised.issubset(names) or (number == looked_at and not other):
                continue
            below = f"the header stands in line {above + number + 1}, below other lines" if number > looked_at else ""
            apart = f"the names of the header are separated by {separator!r}" if other else ""
            options = [f"skiprows={above + number}"] * bool(below) + [f"sep={separator!r}"] * bool(apart)
            raise Unreadable(
                " and ".join(filter(None, (below, apart))),
                f"read it in a function and return the frame: pd.read_csv(..., {', '.join(options)})",
            )


@contextlib.contextmanager
def _cells_of_any_size() -> Iterator[None]:
    """Let Python's reader take cells of more than 131,072 characters; its limit is one for the whole process."""
    with _LIMIT:
        usual = csv.field_size_limit(sys.maxsize)
        try:
            yield
        finally:
            csv.field_size_limit(usual)


# --- side by side, in blocks ---------------------------------------------------------------------------------------


def _parsed(data: pa.Buffer, dialect: _Dialect, contract: ContractSpec) -> pa.Table:
    spans = list(_blocks(data, dialect))
    texts = pa.schema([(field.name, pa.string()) for field in contract.fields])
    # Arrow reads numbers and times much faster from the file than from texts; where one is none, texts tell which.
    read = pa.schema([(field.name, _READ_AS.get(field.kind, pa.string())) for field in contract.fields])
    try:
        return _typed(data, spans, dialect, read)
    except pa.ArrowInvalid:
        return _typed(data, spans, dialect, texts)


_READ_AS = {
    FieldKind.FLOAT: pa.float64(), FieldKind.TIME: pa.timestamp("us"), FieldKind.EVENT_TIME: pa.timestamp("us"),
}  # fmt: skip


def _typed(data: pa.Buffer, spans: list[tuple[int, int]], dialect: _Dialect, schema: pa.Schema) -> pa.Table:
    parts = [_block(data, span, dialect, schema) for span in spans[:1]]  # what is wrong is mostly wrong from the start
    with ThreadPoolExecutor(THREADS) as pool:
        parts += pool.map(lambda span: _block(data, span, dialect, schema), spans[1:])
    return pa.concat_tables([schema.empty_table(), *parts])


def _block(data: pa.Buffer, span: tuple[int, int], dialect: _Dialect, schema: pa.Schema) -> pa.Table:
    """Read some rows. Raises ``Unreadable``, and ``ArrowInvalid`` for a cell that is not of its type."""
    uneven: list[arrow_csv.InvalidRow] = []

    def refuse(row: arrow_csv.InvalidRow) -> str:
        uneven.append(row)
        return "error"

    start, end = span
    options = {
        "read_options": arrow_csv.ReadOptions(
            column_names=dialect.names, block_size=end - start + 1, use_threads=False
        ),
        "parse_options": arrow_csv.ParseOptions(
            delimiter=dialect.separator, quote_char=dialect.quote, newlines_in_values=True, invalid_row_handler=refuse
        ),
        "convert_options": arrow_csv.ConvertOptions(
            include_columns=schema.names, column_types=schema, null_values=[""], strings_can_be_null=False
        ),
    }
    try:
        table = arrow_csv.read_csv(pa.BufferReader(data.slice(start, end - start)), **options)
    except pa.ArrowInvalid as error:
        block = data.slice(start, end - start).to_pybytes()
        if uneven:
            at = start + max(block.find(uneven[0].text.encode()), 0)
            raise _wrong_width(_line(data, at), uneven[0].actual_columns, uneven[0].text, dialect) from None
        try:
            block.decode()
        except UnicodeDecodeError as wrong:
            raise _not_utf8(data, start + wrong.start) from None
        if set(schema.types) != {pa.string()}:
            raise
        raise Unreadable(str(error), "correct the file, or read it in a function and return the frame") from None
    for column in table.columns:
        if pa.types.is_floating(column.type) and pc.any(pc.is_inf(column)).as_py():
            raise pa.ArrowInvalid("a number beyond all floats, or the word for it")
    return table


def _blocks(data: pa.Buffer, dialect: _Dialect) -> Iterator[tuple[int, int]]:
    """Yield where the blocks of rows begin and end, without the header. Raises ``_StrayQuote`` and ``Unreadable``."""
    content = np.frombuffer(data, np.uint8)
    if not len(content):
        return
    breaks = np.frombuffer(b"\r\n", np.uint8)
    # The header may end otherwise than the rows: all that stood before the first LF would be taken for it.
    end_of_row = breaks[1:] if breaks[1] in content[:_HEAD] else breaks[:1]
    start = dialect.begin
    for wanted, ends in ((0, breaks), (BLOCK, end_of_row)):
        while start < len(content):
            end = _end_of_rows(content, start, wanted, ends, dialect)
            blank = end - start <= 2 and not data.slice(start, end - start).to_pybytes().strip()
            if wanted:
                yield start, end
            start = end
            if not wanted and not blank:
                break  # that was the header


def _end_of_rows(content: Bytes, start: int, wanted: int, end_of_row: Bytes, dialect: _Dialect) -> int:
    """Return where rows from ``start`` on end: the last end within ``wanted`` bytes, or the first one."""
    size = wanted or 1 << 12
    while True:
        part = content[start : start + size]
        last = start + size >= len(content)
        quotes = np.flatnonzero(part == ord(dialect.quote))
        ends = np.flatnonzero(np.isin(part, end_of_row) if len(end_of_row) > 1 else part == end_of_row)
        outside = ends[np.searchsorted(quotes, ends) % 2 == 0]
        if len(outside) or last:
            place = outside[-1 if wanted else 0] + 1 if len(outside) and not (wanted and last) else len(part)
            _check_quotes(content, start, quotes[quotes < place], dialect)
            return start + int(place)
        size *= 2


def _check_quotes(content: Bytes, start: int, quotes: npt.NDArray[np.int64], dialect: _Dialect) -> None:
    """Raise unless each text in quotes begins and ends where a cell does, so that quotes in pairs tell where rows end.

    A quote that stands twice inside a text looks like an end and a beginning, with nothing between.
    """
    around = np.array([ord(one) for one in (dialect.separator, "\n", "\r", dialect.quote)], np.uint8)
    opening, closing = quotes[0::2] + start, quotes[1::2] + start
    opens = (opening == 0) | np.isin(content[np.maximum(opening - 1, 0)], around)
    closes = (closing + 1 >= len(content)) | np.isin(content[np.minimum(closing + 1, len(content) - 1)], around)
    wrong_open = opening[~opens][:1].tolist()
    wrong_close = closing[~closes][:1].tolist()
    if wrong_open and (not wrong_close or wrong_open < wrong_close):
        raise _StrayQuote
    if wrong_close:
        at = wrong_close[0]
        escaped = at > 0 and content[at - 1] == ord("\\")
        raise Unreadable(
            f"in line {_line(content, at)} a text goes on after the quote that ends it"
            + (': the quote is written \\" where it should stand twice' if escaped else ""),
            "read it in a function and return the frame: pd.read_csv(..., escapechar='\\\\', doublequote=False)"
            if escaped
            else "write a quote inside a text twice",
        )
    if len(quotes) % 2:
        raise Unreadable(
            f"the quote in line {_line(content, int(opening[-1]))} is never closed",
            "check that the file is complete, or write a quote inside a text twice",
        )


# --- row by row ----------------------------------------------------------------------------------------------------


def _parsed_by_row(data: pa.Buffer, dialect: _Dialect, promised: list[str]) -> pa.Table:
    """Read a file with quotes in the middle of texts: slowly, and as everybody who reads by rows does."""
    try:
        text = data.slice(dialect.begin).to_pybytes().decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(data, dialect.begin + error.start) from None
    above = _line(data, dialect.begin) - 1
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=dialect.separator, quotechar=dialect.quote, strict=True
    )
    places = [dialect.names.index(name) for name in promised]
    columns: list[list[str]] = [[] for _ in places]
    try:
        with _cells_of_any_size():
            rows = (row for row in reader if row)
            next(rows)
            for row in rows:
                if len(row) != len(dialect.names):
                    line = above + reader.line_num
                    raise _wrong_width(line, len(row), dialect.separator.join(row), dialect)
                for column, place in zip(columns, places, strict=True):
                    column.append(row[place])
    except csv.Error as error:
        raise Unreadable(f"in line {above + reader.line_num}: {error}", "write a quote inside a text twice") from None
    return pa.table({name: pa.array(column, pa.string()) for name, column in zip(promised, columns, strict=True)})


# --- what is wrong, and in which line ------------------------------------------------------------------------------


def _line(data: pa.Buffer | Bytes, at: int) -> int:
    """Return in which line of the file a byte stands."""
    before = np.frombuffer(data, np.uint8)[: at + 1]
    feeds, returns = before == ord("\n"), before == ord("\r")
    return 1 + int(np.count_nonzero(feeds[:-1]) + np.count_nonzero(returns[:-1] & ~feeds[1:]))


def _wrong_width(line: int, width: int, text: str, dialect: _Dialect) -> Unreadable:
    return Unreadable(
        f"line {line} has {width} {'cell' if width == 1 else 'cells'}, the header {len(dialect.names)}: {text[:60]!r}",
        f"correct the line; a text that holds {dialect.separator!r} stands in quotes",
    )


def _not_utf8(data: pa.Buffer, at: int) -> Unreadable:
    begin = max(at - 20, 0)
    before = data.slice(begin, at - begin).to_pybytes().splitlines()[-1:] or [b""]
    after = data.slice(at, min(20, data.size - at)).to_pybytes().splitlines()[:1]
    shown = b"".join(before + after).decode("cp1252", "replace")
    return Unreadable(
        f"line {_line(data, at)} is not in UTF-8; in Windows-1252 it would read {shown!r}",
        _SAVE + ": pd.read_csv(..., encoding='cp1252')",
    )
