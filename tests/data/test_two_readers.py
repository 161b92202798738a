"""Two readers of one file agree, on every format and type: by path, and by a query."""

import csv
import io
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, ipc, parquet

from trimtab.data import check, content_digest, read_source
from trimtab.declare import ContractSpec, FieldKind, FieldSpec, SourceSpec

K = FieldKind
FAR = [datetime(9999, 12, 31, 23, 59, 59), datetime(1000, 1, 1), datetime(1969, 12, 31, 23, 59, 59, 999999), None]
WHOLE = [2**53 + 1, -(2**63), 2**63 - 1, None]
MICROS = pa.timestamp("us")

COLUMNS: dict[str, tuple[FieldKind, pa.Array, list[Any]]] = {
    "times in us": (K.TIME, pa.array(FAR, MICROS), FAR),
    "times in ms": (K.TIME, pa.array([FAR[0], FAR[1], None], pa.timestamp("ms")), [FAR[0], FAR[1], None]),
    "times in ns": (K.TIME, pa.array([-1, 1_999], pa.timestamp("ns")), [FAR[2], datetime(1970, 1, 1, 0, 0, 0, 1)]),
    "times of a zone": (K.TIME, pa.array([FAR[1]], pa.timestamp("us", "Asia/Tokyo")), [FAR[1]]),
    "days": (K.TIME, pa.array([date(9999, 12, 31), date(1, 1, 1)]), [datetime(9999, 12, 31), datetime(1, 1, 1)]),
    "integers": (K.INT, pa.array(WHOLE), WHOLE),
    "small integers": (K.INT, pa.array([-128, 127], pa.int8()), [-128, 127]),
    "unsigned": (K.INT, pa.array([2**63 - 1, 2**64 - 1], pa.uint64()), [2**63 - 1, "wrong"]),
    "unsigned, as text": (K.CATEGORY, pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
    "decimals": (K.FLOAT, pa.array([Decimal("0.1"), Decimal("1e20")], pa.decimal128(38, 10)), [0.1, 1e20]),
    "whole decimals": (K.INT, pa.array([Decimal(2**63 - 1), Decimal(2**63)]), [2**63 - 1, "wrong"]),
    "decimals, as text": (K.CATEGORY, pa.array([Decimal("1.50"), Decimal("10.00")]), ["1.5", "10"]),
    "floats": (K.FLOAT, pa.array([0.1, 5e-324, -0.0, float("nan")]), [0.1, 5e-324, 0.0, None]),
    "short floats": (K.FLOAT, pa.array([0.5, 0.1], pa.float32()), [0.5, float(np.float32(0.1))]),
    "half floats": (K.FLOAT, pa.array([1.5, None], pa.float16()), [1.5, None]),
    "infinities": (K.FLOAT, pa.array([1.0, float("inf")]), [1.0, "wrong"]),
    "booleans": (K.BOOL, pa.array([True, False, None]), [True, False, None]),
    "booleans, as text": (K.CATEGORY, pa.array([True, None]), ["true", None]),
    "texts": (K.TEXT, pa.array(["ä", " a ", "", "a\nb\r\n", "007", None]), ["ä", " a ", None, "a\nb\r\n", "007", None]),
    "dictionary": (K.CATEGORY, pa.array(["a", None, "b", "a"]).dictionary_encode(), ["a", None, "b", "a"]),
    "large texts": (K.TEXT, pa.array(["a", None], pa.large_string()), ["a", None]),
    "UUIDs": (K.TEXT, pa.array([UUID(int=3)]), ["00000000-0000-0000-0000-000000000003"]),
}


def contract_of(kind: FieldKind) -> ContractSpec:
    keys = (FieldSpec(name="row", kind=K.KEY, value_type="int"), FieldSpec(name="at", kind=K.EVENT_TIME))
    return ContractSpec(name="C", fields=(*keys, FieldSpec(name="x", kind=kind, missing=None)))


def table_of(column: pa.Array) -> pa.Table:
    rows = range(len(column) + 1)  # and one more, without a value, so that something is left where all are wrong
    x = pa.chunked_array([column, pa.nulls(1, column.type)])
    return pa.table({"row": rows, "at": [datetime(2024, 1, 1)] * len(rows), "x": x}).unify_dictionaries()


def as_csv(table: pa.Table) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(table.column_names)
    for row in zip(*(column.cast(pa.string()).to_pylist() for column in table.columns), strict=True):
        writer.writerow(row)
    return text.getvalue()


def write(table: pa.Table, path: Path, how: str) -> None:
    if how == "feather":
        feather.write_feather(table, path)
    elif how == "arrow":
        with ipc.new_file(path, table.schema) as file:
            file.write_table(table)
    elif how == "parquet by DuckDB":
        if table.schema.field("x").type == pa.float16():  # which DuckDB reads, and cannot write
            table = table.set_column(2, "x", table["x"].cast(pa.float32()))
        duckdb.from_arrow(table).write_parquet(str(path))
    else:
        parquet.write_table(table, path, use_deprecated_int96_timestamps=how == "parquet with INT96")


def found(kind: FieldKind, folder: Path, **source: str) -> tuple[list[Any], str]:
    spec = SourceSpec(name="s", contract=contract_of(kind), **source)
    checked = check(spec.contract, read_source(spec, {}, folder=folder))
    kept = dict(zip(checked.kept["row"].to_pylist(), checked.kept["x"].to_pylist(), strict=True))
    rows = checked.kept.num_rows + checked.set_aside.num_rows - 1
    values = [kept.get(row, "wrong") for row in range(rows)]
    return [one.replace(tzinfo=None) if isinstance(one, datetime) else one for one in values], content_digest(
        checked.kept
    )


@pytest.mark.parametrize("how", ["parquet", "parquet with INT96", "parquet by DuckDB", "arrow", "feather"])
@pytest.mark.parametrize("name", COLUMNS)
def test_a_file_is_read_as_it_was_written_by_path_and_by_query(name: str, how: str, tmp_path: Path) -> None:
    kind, column, expected = COLUMNS[name]
    file = tmp_path / f"file.{how.partition(' ')[0]}"
    write(table_of(column), file, how)
    by_path = found(kind, tmp_path, path=file.name)
    assert by_path[0] == expected
    if file.suffix == ".parquet":
        assert found(kind, tmp_path, sql=f"SELECT * FROM '{file.name}'") == by_path


@pytest.mark.parametrize("name", [name for name in COLUMNS if name not in ("UUIDs", "half floats")])
def test_a_csv_file_is_the_same_by_path_and_as_texts_by_query(name: str, tmp_path: Path) -> None:
    kind, column, _ = COLUMNS[name]
    (tmp_path / "file.csv").write_text(as_csv(table_of(column)), newline="")
    by_query = found(kind, tmp_path, sql="FROM read_csv('file.csv', all_varchar=true)")
    assert found(kind, tmp_path, path="file.csv") == by_query
