"""A CSV file is read as Python's own reader reads it, whatever its dialect and wherever its blocks end."""

import csv
import gzip
import io
import random
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trimtab.data import MissingColumn, SourceFailed, check, csv_file, read_source
from trimtab.declare import ContractSpec, FieldKind, FieldSpec, SourceSpec

K = FieldKind
NOTES = ContractSpec(
    name="Note",
    fields=(
        FieldSpec(name="id", kind=K.KEY), FieldSpec(name="at", kind=K.EVENT_TIME),
        FieldSpec(name="note", kind=K.TEXT, missing=1.0), FieldSpec(name="amount", kind=K.FLOAT, missing=1.0),
    ),
)  # fmt: skip
HEADER = ["id", "at", "extra", "note", "amount"]
NASTY = ("\n", "\r\n", "\r", '"', '""', "'", ",", ";", "\t", " ", "ä", "日", "x", 'k7,2024-01-01,lost,"', "\\", "=")
CELLS = st.lists(st.sampled_from(NASTY), max_size=6).map("".join)


def read(path: Path, contract: ContractSpec = NOTES) -> pa.Table:
    return read_source(SourceSpec(name="notes", contract=contract, path=path.name), {}, folder=path.parent)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cells=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=12),
    separator=st.sampled_from([",", ";", "\t", "|"]),
    quote=st.sampled_from(['"', "'"]),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    block=st.sampled_from([1, 7, 64, 8 << 20]),
)
def test_any_dialect_and_any_border_of_blocks(
    cells: list[tuple[str, str]], separator: str, quote: str, end: str, encoding: str, block: int, tmp_path: Path
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, quotechar=quote, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(HEADER)
    for number, (extra, note) in enumerate(cells):
        writer.writerow([f"k{number}", "2024-01-01", extra, note, number / 4])
    path = tmp_path / "notes.csv"
    path.write_bytes(text.getvalue().encode(encoding))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_file, "BLOCK", block)
        table = read(path)
    assert table["id"].to_pylist() == [f"k{number}" for number in range(len(cells))]
    assert table["note"].to_pylist() == [note for _, note in cells]
    assert table["amount"].to_pylist() == [number / 4 for number in range(len(cells))]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("block", [61, 4096, 1 << 20])
@pytest.mark.parametrize("seed", range(3))
def test_longer_files_with_few_quotes(tmp_path: Path, monkeypatch: Any, seed: int, block: int, end: str) -> None:
    chance = random.Random(seed)
    path = tmp_path / "notes.csv"
    notes = ["".join(chance.choices(NASTY, k=chance.randrange(8))) for _ in range(3_000)]
    notes = [note if chance.random() < 0.2 else "fine" for note in notes]
    if end == "\n":  # Python's writer leaves a CR without quotes then, and its reader ends the row there
        notes = [note.replace("\r", "\n") for note in notes]
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator=end)
        writer.writerows([HEADER, *([f"k{row}", "2024-01-01", "", note, ""] for row, note in enumerate(notes))])
    monkeypatch.setattr(csv_file, "BLOCK", block)
    assert read(path)["note"].to_pylist() == notes


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_quote_inside_a_text_without_quotes_is_part_of_it(tmp_path: Path, end: str) -> None:
    rows = [
        '1,2024-01-01,,5" pipe,1',
        '2,2024-01-01,"a\n""b""",3" and 4",2',
        "",
        '3,2024-01-01,,"",',
    ]
    path = tmp_path / "notes.csv"
    path.write_bytes(end.join([",".join(HEADER), *rows]).encode())
    with path.open(newline="") as file:
        expected = [row["note"] for row in csv.DictReader(file)]
    assert expected == ['5" pipe', '3" and 4"', ""]
    assert read(path)["note"].to_pylist() == expected


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"id,at,extra,note,amount\na,2024-01-01,,x,1\nb,2024-01-01,,y\n", "line 3 has 4 cells, the header 5"),
        (b'id,at,extra,note,amount\na,2024-01-01,,"x\n\ny",1\nb\n', "line 5 has 1 cell, the header 5"),
        (b'id,at,extra,note,amount\na,2024-01-01,,5" x,1\nb,2024-01-01,,y\n', "line 3 has 4 cells, the header 5"),
        (b'id,at,extra,note,amount\na,2024-01-01,,"x,1\nb,2024-01-01,,y,1\n', "the quote in line 2 is never closed"),
        (b'id,at,extra,note,amount\na,2024-01-01,,"x" y,1\n', "in line 2 a text goes on after the quote"),
        (b'id,at,extra,note,amount\na,2024-01-01,,"x \\"y\\" z",1\n', "in line 2 .* where it should stand twice"),
        (
            b"id,at,extra,note,amount\na,2024-01-01,,x,1\nb,2024-01-01,,Z\xfcrich,1\n",
            "line 3 is not in UTF-8; .*Zürich",
        ),
        (b'id,at,extra,note,amount\na,2024-01-01,,5" Z\xfcrich,1\n', "line 2 is not in UTF-8"),
        (b"id,at,extra,b\xe4r,amount\na,2024-01-01,,x,1\n", "line 1 is not in UTF-8.*bär"),
        ("id,at,extra,note,amount\na,2024-01-01,,x,1\n".encode("utf-16-le"), "zero bytes"),
        (b"\xff\xfei\x00d\x00,", "begins as UTF-16 and is not"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "notes.csv"
    path.write_bytes(content)
    with pytest.raises(SourceFailed, match=says) as caught:
        read(path)
    assert all(caught.value.parts().values())
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"a,b\n1,2\n"])
def test_a_file_without_the_promised_columns_says_what_there_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.csv"
    path.write_bytes(content)
    with pytest.raises(MissingColumn, match="no column id"):
        read(path)


@pytest.mark.parametrize(
    ("above", "separator", "says", "todo"),
    [
        ("# made by hand\n", ",", "the header stands in line 2, below other lines", "skiprows=1)"),
        ("Report,,,\r\n\r\n,,\r\n", ",", "the header stands in line 4, below other lines", "skiprows=3)"),
        ("", "^", "the names of the header are separated by '\\^'", "sep='^')"),
        ("", "\x01", "the names of the header are separated by '.x01'", "sep='\\x01')"),
        ("sep=,\n", ";", "the names of the header are separated by ';'", "sep=';')"),
        ("a, b\n", " ", "stands in line 2, below other lines and the names .* by ' '", "skiprows=1, sep=' ')"),
    ],
)
def test_a_header_that_stands_or_is_written_otherwise_is_named(
    tmp_path: Path, above: str, separator: str, says: str, todo: str
) -> None:
    path = tmp_path / "notes.csv"
    path.write_text(
        above + separator.join(["id", "at", "extra", "note", "amount"]) + "\na,2024-01-01,,x,1\n", newline=""
    )
    with pytest.raises(SourceFailed, match=says) as caught:
        read(path)
    assert caught.value.next.endswith(todo)


def test_lines_that_end_in_cr_empty_lines_and_gzip(tmp_path: Path) -> None:
    content = b"\r\rid,at,extra,note,amount\r\ra,2024-01-01,,x,1\r\rb,2024-01-01,,y,2\r"
    (tmp_path / "a.csv").write_bytes(content)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(content))
    for name in ("a.csv", "b.csv.gz"):
        assert read(tmp_path / name).drop_columns(["at"]).to_pylist() == [
            {"id": "a", "note": "x", "amount": 1.0}, {"id": "b", "note": "y", "amount": 2.0},
        ]  # fmt: skip


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", ":", "^"])
@pytest.mark.parametrize("line", ["sep={}\n", '"SEP={}"\r\n'])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_the_line_that_names_the_separator_to_excel(tmp_path: Path, line: str, separator: str, encoding: str) -> None:
    rows = [HEADER, ["a", '"2024-01-01"', "", f'"x{separator}\ny"', "1.5"], ["b", '"2024-01-02"', "", '5" pipe', ""]]
    path = tmp_path / "notes.csv"
    for count, expected in ((2, [f"x{separator}\ny"]), (3, [f"x{separator}\ny", '5" pipe'])):
        text = line.format(separator) + "\n".join(map(separator.join, rows[:count]))
        path.write_bytes(text.encode(encoding))
        assert read(path)["note"].to_pylist() == expected
        path.write_bytes(f"{text}\nshort".encode(encoding))
        with pytest.raises(SourceFailed, match=f"line {count + 3} has 1 cell, the header 5"):
            read(path)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ends=st.lists(st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\r\r\n"]), min_size=2, max_size=9))
def test_lines_may_end_each_in_its_own_way(tmp_path: Path, ends: list[str]) -> None:
    lines = [",".join(HEADER), *(f"{row},2024-01-01,,x{row},1" for row in range(len(ends) - 1))]
    path = tmp_path / "notes.csv"
    content = "".join(line + end for line, end in zip(lines, ends, strict=True))
    path.write_bytes(content.encode())
    assert read(path)["note"].to_pylist() == [f"x{row}" for row in range(len(ends) - 1)]
    path.write_bytes(f"{content}short".encode())
    line = 1 + len(re.findall("\r\n|\r|\n", content))
    with pytest.raises(SourceFailed, match=f"line {line} has 1 cell, the header 5"):
        read(path)


def test_cells_and_headers_of_any_size(tmp_path: Path) -> None:
    large = "y" * 300_000
    path = tmp_path / "notes.csv"
    path.write_text(f'id,at,{large},note,amount\na,2024-01-01,,5" {large},1\nb,2024-01-01,,"{large}\n",1\n')
    limit = csv.field_size_limit()
    assert read(path)["note"].to_pylist() == [f'5" {large}', f"{large}\n"]
    assert csv.field_size_limit() == limit
    path.write_text(f"id,at,note,amount\na,2024-01-01,,{large}\nb,2024-01-01,,1\n")
    checked = check(NOTES, read(path))
    assert checked.set_aside["reason"].to_pylist() == [f"amount '{large}', promised a number"]
    assert len(checked.breaks[0].example) < 400


def test_a_zero_byte_in_a_cell_is_part_of_it_wherever_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    for before in (0, 500):
        rows = [f"{row},2024-01-01,,,\n" for row in range(before)] + ["a,2024-01-01,,x\0y,\n"]
        path.write_text("id,at,extra,note,amount\n" + "".join(rows))
        assert read(path)["note"].to_pylist()[-1] == "x\0y"


WORDS = [
    "1.50",
    "-0.0",
    "1e3",
    "NA",
    "",
    " 7 ",
    "nan",
    "inf",
    "1e999",
    "1,5",
    "soon",
    "12345678901234567890",
    "0x1F",
    "007",
    "-nan",
    "+NaN",
    "-nan(ind)",
    "1e9999999999999999999",
]


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("kind", [K.FLOAT, K.INT, K.BOOL, K.TIME, K.CATEGORY])
def test_a_cell_means_what_the_same_text_means_in_a_frame(tmp_path: Path, kind: FieldKind, word: str) -> None:
    """Arrow reads numbers and times at once where it can: that must not be seen."""
    contract = ContractSpec(name="C", fields=(*NOTES.fields[:2], FieldSpec(name="x", kind=kind, missing=1.0)))
    good = {K.FLOAT: "1", K.INT: "1", K.BOOL: "true", K.TIME: "2024-01-01T00:00", K.CATEGORY: "a"}[kind]
    rows = {"id": ["a", "b", "c"], "at": ["2024-01-01"] * 3, "x": [good, word, good]}
    path = tmp_path / "c.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([list(rows), *zip(*rows.values(), strict=True)])
    found, expected = check(contract, read(path, contract)), check(contract, pa.table(rows))
    assert (found.kept.to_pylist(), found.set_aside.to_pylist()) == (
        expected.kept.to_pylist(), expected.set_aside.to_pylist()
    )  # fmt: skip
    assert found.breaks == expected.breaks


def test_times_of_a_zone_and_times_beyond_arrow(tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    path.write_text("id,at,extra,note,amount\na,2024-01-01T01:00:00.123456789+01:00,,,\nb,9999-12-31T23:59:59Z,,,\n")
    assert check(NOTES, read(path)).kept["at"].to_pylist() == [
        datetime(2024, 1, 1, 0, 0, 0, 123456, UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    ]  # fmt: skip
