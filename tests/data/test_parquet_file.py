"""Files of a folder are each read in their own types, and a column is what all of them say."""

from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from trimtab.data import MissingColumn, MixedTimeZones, SourceFailed, check, extra_columns_of, read_source
from trimtab.declare import ContractSpec, FieldKind, FieldSpec, SourceSpec

KEYS = (FieldSpec(name="row", kind=FieldKind.KEY, value_type="int"), FieldSpec(name="at", kind=FieldKind.EVENT_TIME))


def spec(kind: FieldKind) -> SourceSpec:
    fields = (*KEYS, FieldSpec(name="x", kind=kind, missing=1.0))
    return SourceSpec(name="s", contract=ContractSpec(name="C", fields=fields), path="x.parquet")


def write(folder: Path, columns: dict[str, pa.Array | None]) -> None:
    (folder / "x.parquet").mkdir(exist_ok=True)
    for row, (name, column) in enumerate(columns.items()):
        table = pa.table({"row": [row], "at": [datetime(2024, 1, 1)]})
        table = table if column is None else table.append_column("x", column)
        parquet.write_table(table, folder / "x.parquet" / name)


def found(kind: FieldKind, folder: Path) -> list[Any]:
    source = spec(kind)
    return check(source.contract, read_source(source, {}, folder=folder)).kept["x"].to_pylist()


NUMBERS = [
    (pa.array([2**53 + 1]), "9007199254740993"),
    (pa.array([3.0]), "3"),
    (pa.array([7], pa.uint8()), "7"),
    (pa.array([Decimal("2.50")]), "2.5"),
    (pa.array(["007"]).dictionary_encode(), "007"),
    (pa.nulls(1), None),
    (None, None),
]


@pytest.mark.parametrize("first", range(len(NUMBERS)))
def test_the_first_file_decides_nothing_for_the_others(tmp_path: Path, first: int) -> None:
    cases = NUMBERS[first:] + NUMBERS[:first]
    write(tmp_path, {f"{n}.parquet": column for n, (column, _) in enumerate(cases)})
    assert found(FieldKind.CATEGORY, tmp_path) == [text for _, text in cases]


def test_a_file_without_rows_says_nothing(tmp_path: Path) -> None:
    write(tmp_path, {"b": pa.array([1]), "c": pa.array(["x"])})
    empty = pa.table({"row": pa.array([], pa.int64()), "at": pa.array([], pa.date32()), "x": pa.array([], pa.bool_())})
    parquet.write_table(empty, tmp_path / "x.parquet" / "a")
    assert found(FieldKind.TEXT, tmp_path) == ["1", "x"]


def test_times_of_every_unit_and_none_lie_side_by_side(tmp_path: Path) -> None:
    never, noon = datetime(9999, 12, 31, 23, 59, 59), datetime(2024, 1, 1, 12)
    parts = {
        "a": pa.array([float("nan")]),
        "b": pa.array([noon], pa.timestamp("ns")),
        "c": pa.array([never], pa.timestamp("ms")),
        "d": pa.array([date(1, 1, 1)]),
    }
    expected = [None, noon, never, datetime(1, 1, 1)]
    for order in permutations(range(4), 2):
        names = [list(parts)[n] for n in order]
        folder = tmp_path / "".join(names)
        folder.mkdir()
        write(folder, {name: parts[name] for name in names})
        moments = [expected[n] and expected[n].replace(tzinfo=UTC) for n in sorted(order)]
        assert found(FieldKind.TIME, folder) == moments


def test_times_with_and_without_a_zone_in_two_files_are_refused(tmp_path: Path) -> None:
    times = [pa.array([0], pa.timestamp("us", tz="Asia/Tokyo")), pa.array([0], pa.timestamp("us"))]
    write(tmp_path, dict(zip("ab", times, strict=True)))
    with pytest.raises(MixedTimeZones, match="x has 1 times with a zone and 1 without one"):
        found(FieldKind.TIME, tmp_path)


def test_a_column_that_is_there_twice_matters_where_it_is_promised(tmp_path: Path) -> None:
    row, at, x = pa.array([1]), pa.array([datetime(2024, 1, 1)]), pa.array(["a"])
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.Table.from_arrays([row, at, x, row, row], names=["row", "at", "x", "z", "z"]), path)
    assert found(FieldKind.TEXT, tmp_path) == ["a"]
    assert extra_columns_of(read_source(spec(FieldKind.TEXT), {}, folder=tmp_path)) == ("z", "z")
    parquet.write_table(pa.Table.from_arrays([row, at, x, x], names=["row", "at", "x", "x"]), path)
    with pytest.raises(MissingColumn, match="C has 2 columns named x"):
        found(FieldKind.TEXT, tmp_path)


def test_a_file_of_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"a.parquet": pa.array(["a"])})
    (tmp_path / "x.parquet" / "b.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(SourceFailed) as caught:
        found(FieldKind.TEXT, tmp_path)
    assert "b.parquet" in str(caught.value.why)
    assert str(tmp_path) not in str(caught.value.why)
