"""Loading a project's file."""

import sys
from pathlib import Path

import pytest

from trimtab.declare import BadProject, BadRollout, Model, ProjectSpec, declaration_digest, load_project

BODY = """
import trimtab as tt

class Flight(tt.Contract):
    id: tt.Key[str]
    at: tt.EventTime
    carrier: tt.Category
    left: tt.Time
    delay: tt.Float = tt.known_at("left")

@tt.source(Flight)
def flights():
    return SOURCE

SOURCE = 1

delay = tt.features("delay", of=Flight, decided=Flight.at, columns=[Flight.carrier])

@tt.model(delay, label=Flight.delay > 15)
def late(X, y, trees=10):
    return trees

late.accept_if(tt.auc >= 0.6)
"""


def write(folder: Path, text: str, name: str = "flights.py") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_what_a_file_declares(tmp_path: Path) -> None:
    project = load_project(write(tmp_path, BODY))
    spec = project.spec
    assert isinstance(spec, ProjectSpec)
    assert spec.name == "flights"
    assert [source.name for source in spec.sources] == ["flights"]
    assert [view.name for view in spec.views] == ["delay"]
    assert [(model.name, len(model.accept)) for model in spec.models] == [("late", 1)]
    assert spec.source_of("Flight") == spec.sources[0]
    assert project.path == (tmp_path / "flights.py").resolve()
    assert project.namespace["__file__"] == str(project.path)
    assert project.namespace["flights"]() == 1
    assert isinstance(project.namespace["late"], Model)
    assert hash(spec) == hash(load_project(project.path).spec)


def test_a_path_may_be_text_or_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, BODY)
    monkeypatch.chdir(tmp_path)
    assert load_project("flights.py").path == (tmp_path / "flights.py").resolve()


def test_the_order_is_that_of_the_file(tmp_path: Path) -> None:
    more = "\n".join(
        f'tt.features("{name}", of=Flight, decided=Flight.at, columns=[Flight.carrier])' for name in ("z", "a", "m")
    )
    names = [view.name for view in load_project(write(tmp_path, BODY + more)).spec.views]
    assert names == ["delay", "z", "a", "m"], "also views that no name is bound to"


def test_a_view_in_a_module_beside_the_file(tmp_path: Path) -> None:
    above, _, below = BODY.partition("@tt.model")
    write(tmp_path, above, "parts_beside.py")
    project = load_project(
        write(tmp_path, "import trimtab as tt\nfrom parts_beside import Flight, delay\n@tt.model" + below)
    )
    assert [view.name for view in project.spec.views] == ["delay"]
    assert [source.name for source in project.spec.sources] == ["flights"]
    assert str(tmp_path) not in sys.path


def test_modules_beside_the_file_are_read_anew(tmp_path: Path) -> None:
    write(tmp_path, "LEAST = 0.6\n", "limits_beside.py")
    file = write(tmp_path, "from limits_beside import LEAST\n" + BODY.replace("0.6", "LEAST"))
    assert load_project(file).spec.models[0].accept[0].right.value == 0.6
    write(tmp_path, "LEAST = 0.75  # more than before\n", "limits_beside.py")
    assert load_project(file).spec.models[0].accept[0].right.value == 0.75


def test_a_module_loaded_before_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    write(tmp_path, BODY, "loaded_before.py")
    monkeypatch.setitem(sys.modules, "loaded_before", __import__("loaded_before"))
    spec = load_project(write(tmp_path, "from loaded_before import *\n")).spec
    assert [model.name for model in spec.models] == ["late"]
    assert [source.name for source in spec.sources] == ["flights"]


def test_user_code_may_import_while_it_runs(tmp_path: Path) -> None:
    write(tmp_path, "VALUE = 5\n", "needed_later.py")
    project = load_project(
        write(tmp_path, BODY.replace("return SOURCE", "import needed_later\n    return needed_later.VALUE"))
    )
    with project.importable():
        assert project.namespace["flights"]() == 5
    assert str(tmp_path) not in sys.path
    sys.modules.pop("needed_later")


def test_an_edited_file_is_read_anew(tmp_path: Path) -> None:
    file = write(tmp_path, BODY)
    first = load_project(file).spec
    write(tmp_path, BODY.replace("trees=10", "trees=20"))
    second = load_project(file).spec
    assert (first.models[0].params, second.models[0].params) == ({"trees": 10}, {"trees": 20})
    write(tmp_path, "\n\n" + BODY)
    third = load_project(file).spec
    assert third != first
    assert declaration_digest(third) == declaration_digest(first), "only the lines have moved"
    fields = third.sources[0].contract.fields
    assert [field.where for field in fields] == [f"flights.py:{line}" for line in range(7, 12)]


def test_two_files_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = load_project(write(tmp_path / "a", BODY))
    two = load_project(write(tmp_path / "b", BODY.replace("SOURCE = 1", "SOURCE = 2")))
    assert (one.namespace["flights"](), two.namespace["flights"]()) == (1, 2)


def test_an_error_in_a_module_beside_the_file(tmp_path: Path) -> None:
    write(tmp_path, "import math\n\ndef f():\n    return math.sqrt(-1)\n", "broken_beside.py")
    with pytest.raises(BadProject, match="math domain error") as caught:
        load_project(write(tmp_path, "import broken_beside\nbroken_beside.f()\n"))
    assert caught.value.where == "broken_beside.py:4"


def test_a_failed_load_leaves_nothing_behind(tmp_path: Path) -> None:
    modules, path = set(sys.modules), list(sys.path)
    file = write(tmp_path, BODY + "\ntt.full >> tt.full\n")
    with pytest.raises(BadRollout):
        load_project(file)
    assert list(sys.path) == path
    assert not [name for name in set(sys.modules) - modules if name.startswith("_trimtab_project")]
    assert not list(tmp_path.rglob("*.pyc")), "nor beside the user's file"
