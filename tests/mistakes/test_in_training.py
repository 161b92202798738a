"""Mistakes in train functions, and in when the file is changed: they show in a worker, long after the command began."""

import io
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.loop.parcels import SMALL
from tests.mistakes.answers import Mistake, check, check_store_is_whole
from tests.mistakes.conftest import parts_of
from tests.mistakes.homes import ALICE, settings_of
from tests.mistakes.standing import nothing_half_written, standing_of, unchanged

from trimtab.cli.main import run
from trimtab.declare import load_project
from trimtab.kernel import TrimtabError
from trimtab.loop import run_one
from trimtab.pipelines import PipelineRun, get_pipeline_run, list_pipeline_runs
from trimtab.store import Store, open_store
from trimtab.tracking import search_runs

HEAD = (
    SMALL[: SMALL.index("slow.accept_if")]
    + """
from sklearn.linear_model import LinearRegression, RidgeClassifier
from sklearn.preprocessing import FunctionTransformer


class Own(LogisticRegression):
    pass


def weighed(model):
    return make_pipeline(make_column_transformer(("passthrough", ["weight"])), model)
"""
)


class Trained(NamedTuple):
    """What a train function does wrong, how its model is declared besides, and the step and answer that it gets."""

    body: str
    expected: Mistake
    step: str = "train"
    label: str = "Parcel.delay > 50"
    test: str = "last 7 days"


TRAINED = {
    "it raises": Trained(
        'raise RuntimeError("out of\\nmemory")  # !',
        Mistake("raised RuntimeError: out of memory", "parcels.py:", "the whole traceback: trimtab logs"),
    ),
    "it leaves the program": Trained(
        "raise SystemExit(3)  # !", Mistake("raised SystemExit: 3", "parcels.py:", "correct the line"),
    ),
    "it asks for a column that is not there": Trained(
        'return LogisticRegression().fit(X[["wieght"]], y)  # !',
        Mistake("raised KeyError", "parcels.py:", "correct the line"),
    ),
    "it returns nothing": Trained("slow(X, y)", Mistake("returned nothing", "model m", "end m3 with: return")),
    "it returns a text": Trained('return "model"', Mistake("a str cannot be packed", "model m", "return a trained")),
    "it returns a model that was not trained": Trained(
        "return LogisticRegression()", Mistake("is not trained", "model m", "call fit before you return it"),
    ),
    "it returns a model of a class of its own": Trained(
        "return weighed(Own()).fit(X, y)", Mistake("the model holds", "model m", "move your own functions and classes"),
    ),
    "it returns a model with a function inside": Trained(
        'return make_pipeline(FunctionTransformer(lambda X: X[["weight"]]), LogisticRegression()).fit(X, y)',
        Mistake("the model holds", "model m", "move your own functions and classes"),
    ),
    "it returns only a transformation": Trained(
        'return OneHotEncoder().fit(X[["depot"]])',
        Mistake("a OneHotEncoder does not predict", "model m", "return the whole pipeline"),
    ),
    "it is trained on other columns": Trained(
        'return LogisticRegression().fit(X[["weight"]], y)',
        Mistake("cannot predict its own sample", "model m", "train on the rows as they are given"),
    ),
    "it gives no probability": Trained(
        "return weighed(RidgeClassifier()).fit(X, y)",
        Mistake("gives no probability", "model m", "return a classifier with predict_proba"),
    ),
    "it gives numbers for yes and no": Trained(
        "return weighed(LinearRegression()).fit(X, y)",
        Mistake("gives no probability", "model m", "return a classifier with predict_proba"),
    ),
    "its test span is empty": Trained(
        "return slow(X, y)", Mistake("the test span holds no row", "parcels.py:", "choose another test span"),
        step="features", test="last 1 minute",
    ),
    "its outcomes are all the same": Trained(
        "return slow(X, y)", Mistake("every outcome in the train span is the same", "parcels.py:", "wait for outcomes"),
        step="features", label="Parcel.delay > 5000",
    ),
}  # fmt: skip


class Applied(NamedTuple):
    store: Store
    run: PipelineRun
    text: str
    code: int
    said: str


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Applied]:
    """A file in which every model has a mistake of its own, applied once by the command."""
    folder = tmp_path_factory.mktemp("training")
    text = HEAD
    for number, one in enumerate(TRAINED.values()):
        text += (
            f'\n\n@tt.model(parcel, label={one.label}, train="all history", test="{one.test}")\n'
            f"def m{number}(X, y):\n    {one.body.replace('# !', f'# !{number}')}\n\n\n"
            f"m{number}.accept_if(tt.auc >= 0.5)\n"
        )
    text += "\nslow.accept_if(tt.auc >= 0.5)\n"
    (folder / "parcels.py").write_text(text)
    told = io.StringIO()
    words = ["--home", str(folder / ".trimtab"), "--clock", "2013-03-01", "apply", str(folder / "parcels.py")]
    with redirect_stderr(told), redirect_stdout(told):
        code = run([*words, "--yes", "--because", "try"])
    store = open_store(settings_of(folder))
    yield Applied(store, list_pipeline_runs(store)[0], text, code, told.getvalue())
    store.close()


@pytest.mark.parametrize("name", TRAINED)
def test_a_model_that_cannot_be_trained(applied: Applied, name: str) -> None:
    number, one = list(TRAINED).index(name), TRAINED[name]
    error = applied.run.step(f"{one.step}-m{number}").error
    assert error is not None
    check({"what": error.what, "where": error.where, "why": error.why, "next": error.next}, one.expected)
    for line, text in enumerate(applied.text.splitlines(), start=1):
        if text.endswith(f"# !{number}"):
            assert error.where == f"parcels.py:{line}"


def test_the_command_tells_the_first_of_them(applied: Applied) -> None:
    assert applied.code == 1
    check(parts_of(applied.said), TRAINED["it raises"].expected)
    assert "Traceback" not in applied.said


def test_nothing_of_it_is_in_force(applied: Applied) -> None:
    """The model without a mistake was registered; for the others there is a record of what was tried, and no more."""
    home = applied.store.settings.home_path
    rows = standing_of(home).rows
    assert {name: rows[name][0] for name in ("registry_versions", "evaluation_reports", "loop_declarations")} == {
        "registry_versions": 1,
        "evaluation_reports": 1,
        "loop_declarations": 0,
    }
    assert rows["serving_routes"][0] == rows["registry_approvals"][0] == 0
    assert {one.status.value for one in search_runs(applied.store).items} == {"finished", "failed"}
    nothing_half_written(home)
    check_store_is_whole(applied.store)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("parcels", "ROWS = 3000", "ROWS = 30"), ("slow", "max_iter=1000", "max_iter=999"), ("parcels", "", "")],
    ids=["the source was changed", "the train function was changed", "the file was taken away"],
)
def test_the_file_is_another_one_when_a_step_runs(folder: Path, opened: Store, name: str, old: str, new: str) -> None:
    file = folder / "parcels.py"
    project = load_project(file)
    file.write_text(file.read_text().replace(old, new)) if old else file.unlink()
    recorded = ("ledger", "pipeline_", "features_", "witness")  # that it was tried
    with unchanged(opened, but=recorded), pytest.raises(TrimtabError) as caught:
        run_one(opened, project, name, actor=ALICE, because="again")
    check(
        caught.value.parts(),
        Mistake(name, "parcels.py", "trimtab plan, then trimtab apply")
        if old
        else Mistake("there is no project file", "parcels.py", "trimtab init"),
    )
    assert get_pipeline_run(opened, str(caught.value.data["run"])).status.value == "failed"
    check_store_is_whole(opened)
