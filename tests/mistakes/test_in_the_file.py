"""Mistakes in the project's file that show when it is planned: in what sources give, what models may see, policies.

``tests/declare/test_mistakes.py`` walks those that show when the file is loaded. ``# !`` marks the line to be named.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.loop.parcels import SMALL
from tests.mistakes.answers import Mistake, check
from tests.mistakes.standing import unchanged

from trimtab.cli.verbs.plan import CHANGES

FILE = SMALL.replace("ACCEPT", "0.7")
FUNCTION = FILE[FILE.index("def parcels") : FILE.index("\n\n\nparcel =")]
DECORATED = FILE[FILE.index("@tt.source") : FILE.index("\n\n\nparcel =")]


def source(body: str) -> str:
    """The file, with a source that spoils the good rows ``f``."""
    good = FUNCTION.replace("def parcels", "def good")
    return FILE.replace(
        DECORATED, f'{good}\n\n@tt.source(Parcel, every="1h")\ndef parcels():\n    f = good()\n    {body}'
    )


def declared(line: str) -> str:
    """The file, with a source that is a path or a query."""
    return FILE.replace(DECORATED, f"parcels = tt.source(Parcel, {line}, name='parcels')")


def changed(old: str, new: str) -> str:
    assert old in FILE
    return FILE.replace(old, new)


READING = {
    "a source that raises": (
        source('raise RuntimeError("no connection\\nto the warehouse")  # !'),
        Mistake("source parcels raised RuntimeError: no connection", "", "call parcels() in a Python shell"),
    ),
    "a source that leaves the program": (
        source("sys.exit(3)  # !").replace("import numpy", "import sys\nimport numpy"),
        Mistake("source parcels raised SystemExit: 3", "", "call parcels()"),
    ),
    "a source that fails deep in a library": (
        source('f["wieght"]  # !'),
        Mistake("source parcels raised KeyError", "", "call parcels()"),
    ),
    "a source that returns nothing": (
        source("f.dropna()"),
        Mistake("source parcels returned None, not a table", "parcels.py:", "end the function of source parcels"),
    ),
    "a source that returns a column": (
        source('return f["weight"]'),
        Mistake("returned a Series, not a table", "parcels.py:", "return <the frame>"),
    ),
    "a source without rows": (
        source("return f[f.weight > 1000]"),
        Mistake("source parcels gave no rows", "parcels.py:", "look at what the source reads"),
    ),
    "a column that is not there": (
        source('return f.drop(columns=["weight"])'),
        Mistake("Parcel has no column weight", "contract Parcel.weight", "add weight to what the source returns"),
    ),
    "a column with a space in its name": (
        source('return f.rename(columns={"weight": " Weight"})'),
        Mistake("Parcel has no column weight", "contract Parcel.weight", "rename ' Weight' to 'weight'"),
    ),
    "two columns of one name": (
        source('return pd.concat([f, f[["weight"]]], axis=1)'),
        Mistake("2 columns named weight", "contract Parcel.weight", "keep one of them"),
    ),
    "an index instead of a column": (
        source('return f.set_index("parcel_id")'),
        Mistake("parcel_id is in the index", "contract Parcel.parcel_id", "return frame.reset_index()"),
    ),
    "texts for numbers": (
        source('return f.assign(weight="heavy")'),
        Mistake("weight holds text such as 'heavy', promised a number", "contract Parcel.weight", "convert weight"),
    ),
    "numbers for times": (
        source('return f.assign(sent=f.sent.astype("int64"))'),
        Mistake("sent holds whole numbers", "contract Parcel.sent", "convert sent in the source"),
    ),
    "a list among the numbers": (
        source("f = f.astype({'weight': object}); f.at[5, 'weight'] = [1]; return f"),
        Mistake("weight holds a value of the type list", "contract Parcel.weight", "turn weight into one of these"),
    ),
    "texts of times, some with a zone": (
        source("return f.assign(sent=[t.isoformat()[: 19 if i % 2 else None] for i, t in enumerate(f.sent)])"),
        Mistake("sent has 1500 times with a zone and 1500 without one", "contract Parcel.sent", "in UTC"),
    ),
    "times, some with a zone": (
        source("f['sent'] = [t if i % 2 else t.tz_localize(None) for i, t in enumerate(f.sent)]; return f"),
        Mistake("sent has 1500 times with a zone and 1500 without one", "contract Parcel.sent", "in UTC"),
    ),
    "more broken rows than allowed": (
        source("return f.assign(weight=f.weight + 30)"),
        Mistake("rows break the contract (", "contract Parcel.weight", "set_aside=..."),
    ),
    "nothing but broken rows": (
        source("return f.assign(weight=np.inf)"),
        Mistake("3000 of 3000 rows break the contract", "contract Parcel.weight", "correct the source"),
    ),
    "more missing values than promised": (
        source("f.loc[100:200, 'weight'] = np.nan; return f").replace("(0, 50)", "(0, 50, missing=0.001)"),
        Mistake("3.37 % missing, promised at most 0.1 %", "contract Parcel.weight", "missing=0.034"),
    ),
    "rows of a time to come": (
        source("return f.assign(sent=f.sent + pd.Timedelta(days=3650))"),
        Mistake("lie after now, 2013-03-01", "contract Parcel.sent", "trimtab doctor"),
    ),
    "a file that is not there": (
        declared("path='data/parcels.csv'"),
        Mistake("names data/parcels.csv, which does not exist", "parcels.py:", "put the file at data/parcels.csv"),
    ),
    "a file of an unknown kind": (
        declared("path='parcels.xlsx'"),
        Mistake("names parcels.xlsx, which is no known kind of file", "parcels.py:", "convert the file"),
    ),
    "a query that cannot be read": (
        declared("sql='SELEC * FROM parcels'"),
        Mistake("the query of source parcels failed", "parcels.py:", "run the query with duckdb"),
    ),
}  # fmt: skip

KNOWING = {
    "the label as a column": (
        changed("columns=[Parcel.weight,", "columns=[Parcel.delay, Parcel.weight,"),
        Mistake("Parcel.delay becomes known at Parcel.arrived, after the decision", "parcels.py:", ".mean(over="),
    ),
    "the label, calculated": (
        changed("columns=[Parcel.weight,", "columns=[(Parcel.delay / 60).named('hours'), Parcel.weight,"),
        Mistake("Parcel.delay becomes known at Parcel.arrived", "parcels.py:", "Parcel.delay.mean("),
    ),
    "a label that is known when it is decided": (
        changed("label=Parcel.delay > 50", "label=Parcel.weight > 20"),
        Mistake("Parcel.weight", "parcels.py:", "tt.known_at("),
    ),
    "a value that is not known yet": (
        changed("weight: tt.Float = tt.between(0, 50)", "weight: tt.Float = tt.known_at('arrived')"),
        Mistake("Parcel.weight becomes known at Parcel.arrived", "parcels.py:", "Parcel.weight.mean("),
    ),
    "slices by a field that is no column": (
        changed("Parcel.weight, Parcel.depot,", "Parcel.weight,").replace(
            "slow.accept_if(", "slow.accept_if(tt.auc.worst(by='depot') >= 0.6, "
        ),
        Mistake("accept_if of slow slices by 'depot'", "parcels.py:", "add Parcel.depot to the columns of parcel"),
    ),
    "a policy that slices by the key": (
        f"{source('return f')}\nslow.retrain_when(tt.recall.gap(by='parcel_id') > 0.3)\n",
        Mistake("retrain_when of slow slices by 'parcel_id'", "parcels.py:", "or slice by one of: depot, sent_hour"),
    ),
    "slices by the key": (
        changed("slow.accept_if(", "slow.accept_if(tt.recall.gap(by='parcel_id') <= 0.2, "),
        Mistake("accept_if of slow slices by 'parcel_id'", "parcels.py:", "or slice by one of: depot, sent_hour"),
    ),
}  # fmt: skip

PLANNED = {**READING, **KNOWING}


@pytest.mark.parametrize(("text", "expected"), PLANNED.values(), ids=PLANNED.keys())
def test_a_mistake_is_told_by_plan(
    folder: Path, typed: Callable[..., tuple[int, dict[str, str], str]], text: str, expected: Mistake
) -> None:
    (folder / "parcels.py").write_text(text)
    line = next((n for n, one in enumerate(text.splitlines(), start=1) if "# !" in one), 0)
    with unchanged(folder / ".trimtab"):
        code, parts, said = typed("plan")
    assert code == 1, said
    check(parts, expected)
    if line:
        assert parts["where"] == f"parcels.py:{line}"
    assert "Nothing has changed" not in said


def test_the_file_before_the_mistake_is_right(
    folder: Path, typed: Callable[..., tuple[int, dict[str, str], str]]
) -> None:
    with unchanged(folder / ".trimtab"):
        assert typed("plan")[0] == 0
        (folder / "parcels.py").write_text(source("return f"))
        assert typed("plan")[0] == CHANGES


def test_apply_tells_what_plan_tells(folder: Path, typed: Callable[..., tuple[int, dict[str, str], str]]) -> None:
    text, expected = PLANNED["slices by the key"]
    (folder / "parcels.py").write_text(text)
    for line in ("apply --yes --because more", "run slow --because more"):
        with unchanged(folder / ".trimtab"):
            code, parts, _ = typed(line)
        assert code == 1
        check(parts, expected)
