"""A source is read from wherever it lies, and each thing that can be wrong with it has its own error."""

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import csv, ipc, parquet

from trimtab.data import (
    EmptySource,
    MissingColumn,
    NotAFrame,
    SourceFailed,
    SourceMissing,
    WrongType,
    check,
    extra_columns_of,
    read_source,
)
from trimtab.declare import ContractSpec, FieldKind, FieldSpec, SourceSpec


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame,
        lambda columns: pd.DataFrame(columns).astype({"sky": "category"}),
        pl.DataFrame,
        lambda columns: pl.DataFrame(columns).lazy(),
        lambda columns: pl.DataFrame(columns).with_columns(pl.col("sky").cast(pl.Categorical)),
        lambda columns: pl.DataFrame(columns).with_columns(pl.col("sky").cast(pl.Enum(["clear", "cloudy"]))),
        lambda columns: pl.DataFrame(columns).with_columns(pl.col("extra").cast(pl.Int128)),
        pa.table,
        lambda columns: pa.table(columns).to_batches()[0],
        lambda columns: pa.table(columns).to_reader(),
    ],
)
def test_every_frame_gives_the_same_rows(source, weather, observations, frame):
    columns = observations(extra=[object] * 8 if frame is pd.DataFrame else [1] * 8)
    table = read_source(source, {"weather": lambda: frame(columns)})
    assert table.column_names == ["origin", "at", "temp", "sky"]
    assert extra_columns_of(table) == ("extra",)
    kept = check(weather, table).kept
    assert kept.to_pydict() == {name: columns[name] for name in kept.column_names}


@pytest.mark.parametrize("suffix", ["parquet", "csv", "csv.gz", "arrow", "stream.arrow"])
def test_a_file_beside_the_project(source, weather, table, tmp_path, suffix):
    path = tmp_path / f"weather.{suffix}"
    if suffix == "parquet":
        parquet.write_table(table(), path)
    elif suffix == "arrow":
        with ipc.new_file(path, table().schema) as file:
            file.write_table(table())
    elif suffix == "stream.arrow":
        with ipc.new_stream(path, table().schema) as file:
            file.write_table(table())
    else:
        with pa.CompressedOutputStream(str(path), "gzip") if suffix == "csv.gz" else pa.OSFile(str(path), "wb") as file:
            csv.write_csv(table(), file)
    by_path = SourceSpec(name="weather", contract=weather, path=path.name)
    read = read_source(by_path, {"__file__": str(tmp_path / "project.py")})
    assert check(weather, read).kept.equals(check(weather, table()).kept)
    assert read_source(by_path, {}, folder=tmp_path).equals(read)


def test_a_folder_of_parquet_files_keeps_the_texts_in_its_names(weather, table, tmp_path):
    for place in ("007", "JFK", "a%20b"):
        part = tmp_path / "weather.parquet" / f"origin={place}" / "kind=1e3"
        part.mkdir(parents=True)
        parquet.write_table(table().drop_columns(["origin"]).slice(0, 1), part / "part-0.snappy.parquet")
    (tmp_path / "weather.parquet" / "_SUCCESS").touch()
    source = SourceSpec(name="weather", contract=weather, path="weather.parquet")
    read = read_source(source, {}, folder=tmp_path)
    assert sorted(read["origin"].to_pylist()) == ["007", "JFK", "a b"]
    assert extra_columns_of(read)[-1] == "kind"
    # A file is only itself, whatever the folders above it are called.
    source = SourceSpec(name="weather", contract=weather, path="origin=JFK/kind=1e3/part-0.snappy.parquet")
    with pytest.raises(MissingColumn):
        read_source(source, {}, folder=tmp_path / "weather.parquet")


def test_a_text_in_a_csv_is_what_stands_there_and_an_empty_cell_is_missing(weather, tmp_path):
    rows = [
        "origin,at,temp,sky",
        "007,2013-01-01,1,clear",
        "010,2013-01-01,2,",
        "NA,2013-01-01,3,cloudy",
        ",2013-01-01,4,",
    ]
    (tmp_path / "w.csv").write_text("\n".join(rows))
    read = read_source(SourceSpec(name="w", contract=weather, path="w.csv"), {}, folder=tmp_path)

    checked = check(weather, read)

    assert checked.kept.column("origin").to_pylist() == ["007", "010", "NA"]
    assert checked.kept.column("sky").to_pylist() == ["clear", None, "cloudy"]
    assert checked.set_aside.column("reason").to_pylist() == ["origin is missing, promised in every row"]


def test_a_file_that_cannot_be_read_does_not_tell_where_it_lies(weather, tmp_path):
    (tmp_path / "w.parquet").write_bytes(b"not parquet")

    with pytest.raises(SourceFailed) as caught:
        read_source(SourceSpec(name="w", contract=weather, path="w.parquet"), {}, folder=tmp_path)
    assert str(tmp_path) not in str(caught.value)


def test_a_query_sees_files_beside_the_project_and_no_variables(weather, table, tmp_path):
    parquet.write_table(table(), tmp_path / "weather.parquet")
    secret = table()
    assert secret.num_rows
    select = "SELECT *, 1 AS extra FROM 'weather.parquet' ORDER BY temp"
    query = SourceSpec(name="weather", contract=weather, sql=select)
    read = read_source(query, {}, folder=tmp_path)
    assert check(weather, read).kept.equals(check(weather, table()).kept)
    broken = SourceSpec(name="weather", contract=weather, sql="SELECT * FROM secret", where="flights.py:9")
    with pytest.raises(SourceFailed, match="DuckDB says") as caught:
        read_source(broken, {}, folder=tmp_path)
    assert caught.value.where == "flights.py:9"
    with pytest.raises(EmptySource):
        read_source(SourceSpec(name="weather", contract=weather, sql="CREATE TABLE t (x INT)"), {}, folder=tmp_path)


def test_a_query_keeps_every_digit_of_wide_integers(weather):
    key = ContractSpec(name="C", fields=(FieldSpec(name="id", kind=FieldKind.KEY), weather.fields[1]))
    for kind, number in (("UHUGEINT", 2**128 - 1), ("HUGEINT", 2**127 - 1), ("BIGNUM", 10**50), ("UBIGINT", 2**64 - 1)):
        select = f"SELECT '{number}'::{kind} AS id, TIMESTAMP '2024-01-01' AS at"
        read = read_source(SourceSpec(name="c", contract=key, sql=select), {})
        assert check(key, read).kept["id"].to_pylist() == [str(number)]


def test_a_function_that_raises_is_named_with_its_line(source):
    def weather():
        return pd.DataFrame({"a": [1]})["b"]

    with pytest.raises(SourceFailed, match="raised KeyError: 'b'") as caught:
        read_source(source, {"weather": weather})
    line = weather.__code__.co_firstlineno + 1
    assert caught.value.where == f"test_read.py:{line}"  # and not the line of pandas that raised it


@pytest.mark.parametrize("result", [None, 7, [1, 2], "text", pd.Series([1]), pl.Series([1])])
def test_what_is_no_table_is_refused(source, result):
    with pytest.raises(NotAFrame, match="source weather returned"):
        read_source(source, {"weather": lambda: result})


def test_an_empty_frame_is_refused(source, observations):
    empty = pd.DataFrame(observations()).iloc[:0]
    with pytest.raises(EmptySource, match="source weather gave no rows"):
        read_source(source, {"weather": lambda: empty})


def test_a_missing_function_or_file_is_named(source, weather, tmp_path):
    with pytest.raises(SourceMissing, match="no function weather"):
        read_source(source, {})
    with pytest.raises(SourceMissing, match=r"nowhere\.csv, which does not exist"):
        read_source(SourceSpec(name="w", contract=weather, path="nowhere.csv"), {}, folder=tmp_path)
    with pytest.raises(SourceFailed, match="no known kind of file"):
        read_source(SourceSpec(name="w", contract=weather, path="w.xlsx"), {}, folder=tmp_path)
    (tmp_path / "w.parquet").write_bytes(b"not parquet")
    with pytest.raises(SourceFailed, match=r"w\.parquet of source w cannot be read"):
        read_source(SourceSpec(name="w", contract=weather, path="w.parquet"), {}, folder=tmp_path)


def test_a_column_in_the_index_is_found(source, observations):
    frame = pd.DataFrame(observations()).set_index("at")
    with pytest.raises(MissingColumn, match="reset_index"):
        read_source(source, {"weather": lambda: frame})


def test_a_column_of_several_types_is_judged_value_by_value(source, weather, observations):
    frame = pd.DataFrame(observations(temp=[30.0, "31", "n/a", None, 1, 2, 3, 4]))
    checked = check(weather, read_source(source, {"weather": lambda: frame}))
    assert checked.kept.column("temp").to_pylist() == [30.0, 31.0, None, 1.0, 2.0, 3.0, 4.0]
    assert checked.set_aside.column("reason").to_pylist() == ["temp 'n/a', promised a number"]


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (2**70, "temp 1.1805916207174113e+21, promised -20 to 120"),
        (Decimal("Infinity"), "temp inf, promised a finite number"),
        (np.datetime64("2013-01-01"), "temp '2013-01-01', promised a number"),
    ],
)
def test_an_object_that_fits_no_type_of_arrow_breaks_its_row(source, weather, observations, odd, reason):
    frame = pd.DataFrame(observations(temp=pd.Series([odd, Decimal("NaN"), *range(6)], dtype=object)))

    checked = check(weather, read_source(source, {"weather": lambda: frame}))

    assert checked.set_aside.column("reason").to_pylist() == [reason]
    assert checked.kept.column("temp").to_pylist() == [None, *range(6)]


def test_what_polars_or_a_text_holds_and_arrow_does_not_is_named(source, observations):
    lists = pl.DataFrame(observations()).with_columns(pl.Series("temp", [[2**70]] * 8, dtype=pl.List(pl.Int128)))
    with pytest.raises(WrongType, match="temp is of the Polars type List"):
        read_source(source, {"weather": lambda: lists})

    halved = pd.DataFrame(observations(sky=pd.Series(["\ud800"] * 8, dtype=object)))
    with pytest.raises(WrongType, match=r"sky holds .* which is no text"):
        read_source(source, {"weather": lambda: halved})


def test_a_lazy_frame_that_fails_is_a_source_that_failed(source, observations):
    lazy = pl.DataFrame(observations()).lazy().select("wind")
    with pytest.raises(SourceFailed, match="the lazy frame of source weather raised ColumnNotFoundError"):
        read_source(source, {"weather": lambda: lazy})


def test_objects_in_a_column_are_refused(source, observations):
    frame = pd.DataFrame(observations(temp=[30.0, "31", {"a": 1}, *[1.0] * 5]))
    with pytest.raises(WrongType, match="temp holds a value of the type dict"):
        read_source(source, {"weather": lambda: frame})


def test_periods_are_named_and_not_their_counts(source, observations):
    months = pd.period_range("2013-01", periods=8, freq="M")
    for column in (months, pd.Categorical(months)):
        frame = pd.DataFrame(observations()).assign(at=column)
        with pytest.raises(WrongType, match="at holds a value of the type Period") as caught:
            read_source(source, {"weather": lambda frame=frame: frame})
        assert caught.value.next.endswith("at.dt.to_timestamp()")
