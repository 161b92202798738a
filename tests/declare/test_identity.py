"""Digests, JSON and hashes of what is declared."""

from pathlib import Path

import msgspec
import pytest

import trimtab as tt
from trimtab.declare import ModelSpec, ProjectSpec, declaration_digest, load_project
from trimtab.kernel import digest_of, is_digest

from .declared import Flight, Weather, view

BODY = """
import trimtab as tt

FACTOR = 2
LIMITS = {"depth": [3, 4]}
UNUSED = 3

def helper(x):
    return x * FACTOR

class Flight(tt.Contract):
    id: tt.Key[str]
    at: tt.EventTime
    carrier: tt.Category
    left: tt.Time
    delay: tt.Float = tt.known_at("left")

@tt.source(Flight, every="1h")
def flights():
    return 1

delay = tt.features("delay", of=Flight, decided=Flight.at - tt.hours(2), columns=[Flight.carrier])

@tt.model(delay, label=Flight.delay > 15)
def late(X, y, trees=10):
    return [helper(trees) + LIMITS["depth"][0] for _ in X]

late.accept_if(tt.auc >= 0.6)
late.serve(rollout=tt.shadow("1d") >> tt.full, roll_back_if=tt.errors > 0.01)
late.retrain_when(tt.every("30d"), approve=tt.by("lead"))
"""


def loaded(folder: Path, text: str = BODY) -> ProjectSpec:
    file = folder / "flights.py"
    file.write_text(text)
    return load_project(file).spec


def test_a_digest_is_what_it_was() -> None:
    # Digests name what is in force for years: a change here means every project is changed.
    spec = view().spec
    assert declaration_digest(spec) == "sha256:466368cb58f78c2f7a1a7dabb5285fca36ead73cdb5b61b75ff80762c1fea2f7"
    condition = (tt.log_loss > tt.champion.log_loss * 1.03) | (tt.errors > "1%")
    assert (
        declaration_digest(condition.spec) == "sha256:dce35854a7c7472a879275fa37094ae57ed8c19adde376e2636b2209200e6a8f"
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\nimport trimtab as tt\n", "\n\n# A remark.\n\nimport trimtab as tt\n"),
        ("UNUSED = 3", "UNUSED = 4"),
        ("FACTOR = 2\n", "FACTOR = 2  # twice\n"),
        ("    return 1\n", "    return 1   \n"),
        ('every="1h"', 'every="60m"'),
        ("tt.hours(2)", "tt.minutes(120)"),
        ("tt.auc >= 0.6", "tt.auc.at_least(0.6)"),
    ],
)
def test_what_does_not_change_a_project(old: str, new: str, tmp_path: Path) -> None:
    assert old in BODY
    before = loaded(tmp_path)
    assert declaration_digest(loaded(tmp_path, BODY.replace(old, new))) == declaration_digest(before)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('every="1h"', 'every="2h"'),
        ("return 1", "return 2"),
        ("FACTOR = 2", "FACTOR = 3"),
        ("return x * FACTOR", "return x + FACTOR"),
        ("[3, 4]", "[3, 5]"),
        ("tt.hours(2)", "tt.hours(3)"),
        ("carrier: tt.Category", "carrier: tt.Text"),
        ('tt.known_at("left")', 'tt.known_at("left", missing=0.1)'),
        ("> 15", ">= 15"),
        ("trees=10", "trees=11"),
        ("0.6", "0.61"),
        ('tt.shadow("1d")', 'tt.shadow("2d")'),
        ("tt.errors > 0.01", "tt.errors > '1%'"),
        ('"30d"', '"31d"'),
        ('"lead"', '"boss"'),
        ("for _ in X", "for _ in y"),
    ],
)
def test_what_changes_a_project(old: str, new: str, tmp_path: Path) -> None:
    assert old in BODY
    before = loaded(tmp_path)
    assert declaration_digest(loaded(tmp_path, BODY.replace(old, new))) != declaration_digest(before)


def test_a_module_beside_the_file_is_part_of_the_code(tmp_path: Path) -> None:
    def with_helper(text: str) -> str:
        (tmp_path / "beside_code.py").write_text(text)
        body = BODY.replace("import trimtab as tt\n", "import trimtab as tt\nimport beside_code\n")
        return declaration_digest(loaded(tmp_path, body.replace("return 1", "return beside_code.rows()")))

    first = with_helper("def rows():\n    return 1\n")
    assert with_helper("def rows():\n    return 22\n") != first
    assert with_helper("def rows():\n    return 1\n") == first


@pytest.mark.parametrize(
    ("made", "used", "changed"),
    [
        ("SHOPS = {'a', 'b'}", "SHOPS", ("'b'", "'c'")),
        ("import datetime\nSINCE = datetime.date(2013, 1, 1)", "SINCE", ("2013", "2014")),
        ("import re\nNAME = re.compile('a+')", "NAME", ("a+", "b+")),
        (
            "import functools\ndef power(a, b): return a**b\nsquare = functools.partial(power, b=2)",
            "square(3)",
            ("=2", "=3"),
        ),
        (
            "import functools\ndef power(a, b): return a**b\nsquare = functools.partial(power, b=2)",
            "square(3)",
            ("**", "*"),
        ),
        ("def maker(n):\n    return lambda: n\nten = maker(10)", "ten()", ("(10)", "(11)")),
        ("STEP = 1\ndef step(by=STEP): return by", "step()", ("= 1", "= 2")),
        ("def louder(f):\n    return lambda: f() + 1\n@louder\ndef loud(): return 1", "loud()", ("+ 1", "+ 2")),
        ("class A:\n    size = 1\nclass B(A): pass", "B()", ("size = 1", "size = 2")),
        ("SIZE = 1\nclass B:\n    def size(self): return SIZE", "B()", ("SIZE = 1", "SIZE = 2")),
        ("class B:\n    def size(self): return 1\nbox = B()", "box.size()", ("return 1", "return 2")),
        ("PARTS = []\nPARTS.append(1)", "PARTS", ("(1)", "(2)")),
    ],
)
def test_what_a_function_uses_is_part_of_its_code(
    made: str, used: str, changed: tuple[str, str], tmp_path: Path
) -> None:
    def with_constant(made: str) -> ModelSpec:
        body = BODY.replace("UNUSED = 3", made).replace("return [helper(trees)", f"{used}\n    return [helper(trees)")
        return loaded(tmp_path, body).models[0]

    assert changed[0] in made
    assert with_constant(made).code == with_constant(made).code
    assert with_constant(made.replace(*changed)).code != with_constant(made).code


@pytest.mark.parametrize(
    "imported",
    ["from beside_uses import rows", "import beside_uses as b\nrows = b.rows", "from beside_uses import *", ""],
)
def test_two_projects_in_one_process_each_have_their_own_helpers(imported: str, tmp_path: Path) -> None:
    inside = "" if imported else "from beside_uses import rows\n    "

    def project(folder: str, answer: int) -> str:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "beside_uses.py").write_text(f"ANSWER = {answer}\ndef rows():\n    return ANSWER\n")
        body = BODY.replace("UNUSED = 3", imported).replace("return 1", f"{inside}return rows()")
        file = tmp_path / folder / "flights.py"
        file.write_text(body)
        found = load_project(file)
        with found.importable():
            assert found.namespace["flights"]() == answer
        return found.spec.sources[0].code

    first, second = project("one", 1), project("two", 2)
    assert first != second
    assert project("one", 1) == first
    assert project("three", 1) == first


def test_json_gives_a_project_back(tmp_path: Path) -> None:
    spec = loaded(tmp_path)
    again = msgspec.json.decode(msgspec.json.encode(spec), type=ProjectSpec)
    assert again == spec
    assert hash(again) == hash(spec)
    assert declaration_digest(again) == declaration_digest(spec)
    assert is_digest(declaration_digest(spec))


def test_specs_are_frozen_and_hashable(tmp_path: Path) -> None:
    spec = loaded(tmp_path)
    things = [spec, *spec.sources, *spec.views, *spec.models, spec.models[0].serving, spec.models[0].retraining]
    things += [
        spec.sources[0].contract,
        *spec.sources[0].contract.fields,
        *spec.models[0].accept,
        *spec.views[0].columns,
    ]
    assert len(set(things)) == len(things)
    for thing in things:
        with pytest.raises(AttributeError):
            thing.where = "elsewhere"  # type: ignore[union-attr,misc]


def test_a_parameter_called_where_counts() -> None:
    def model_with(place: str) -> ModelSpec:
        @tt.model(view(), label=Flight.arr_delay > 15)
        def late(X: object, y: object) -> None: ...

        return msgspec.structs.replace(late.spec, params={"where": place})

    assert declaration_digest(model_with("here")) != declaration_digest(model_with("there"))
    assert declaration_digest(Weather.temp.spec) != declaration_digest(Weather.visib.spec)


def test_what_came_later_and_says_nothing_changes_no_digest() -> None:
    """A file that was applied before labels could mature is still the same file."""
    spec = tt.model(view(), label=Flight.arr_delay > 15)(learn).spec
    before = msgspec.to_builtins(spec)
    for place in (before, before["label"]):
        for name in ("matures_s", "matures_at", "immature"):
            place.pop(name, None)
    assert msgspec.convert(before, ModelSpec) == spec
    named = msgspec.structs.replace(spec, params={"immature": None})
    assert declaration_digest(named) != declaration_digest(msgspec.structs.replace(spec, params={}))
    assert declaration_digest(spec) == digest_of(_placeless(before))


def _placeless(value: object) -> object:
    if isinstance(value, dict):
        return {key: _placeless(item) for key, item in value.items() if key != "where"}
    return [_placeless(item) for item in value] if isinstance(value, list | tuple) else value


def learn(X: object, y: object) -> None:
    """Learn nothing."""
