"""Every change of what users can type shows in surface.txt, and so in review.

When a change is meant: ``UPDATE_SURFACE=1 pytest tests/declare/test_surface.py``, and look at the difference.
"""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import trimtab as tt
from trimtab import declare

FILE = Path(__file__).with_name("surface.txt")
OBJECTS = [
    "CategoryColumn", "FeatureView", "LatestColumns", "Model", "Moment", "NumberColumn", "PolicyExpression", "Project",
    "Rollout", "Source", "TimeColumn",
]  # fmt: skip


def surface() -> str:
    lines = []
    for name in tt.__all__:
        if name in tt._LAZY:
            lines.append(f"tt.{name}: from {tt._LAZY[name]}")
            continue
        lines += _described(f"tt.{name}", getattr(tt, name))
    for name in OBJECTS:
        lines += _described(name, getattr(declare, name))
    lines += _described("Measure", type(tt.auc))
    lines += _described("Metrics", type(tt.champion))
    lines += [f"Metrics.{name}" for name in sorted(vars(tt.champion)) if not name.startswith("_")]
    return "\n".join(lines) + "\n"


def _described(name: str, thing: object) -> list[str]:
    if inspect.isclass(thing):
        return [f"{name}: class", *(line for member in _members(thing) for line in _member(name, thing, member))]
    if inspect.isfunction(thing) or inspect.ismethod(thing):
        return [f"{name}{_signature(thing)}"]
    return [f"{name}: {type(thing).__name__}"]


def _members(cls: type) -> list[str]:
    hidden = {name for base in (Exception, type(tt.Contract)) for name in dir(base)}
    return [name for name in sorted(dir(cls)) if not name.startswith("_") and name not in hidden]


def _member(name: str, cls: type, member: str) -> list[str]:
    value = inspect.getattr_static(cls, member)
    if "_refuse" in getattr(value, "__name__", ""):
        return []
    if isinstance(value, classmethod):
        value = value.__func__
    return [f"{name}.{member}{_signature(value) if inspect.isfunction(value) else ''}"]


def _signature(function: object) -> str:
    return str(inspect.signature(function)).replace("trimtab.declare.", "")  # type: ignore[arg-type]


def test_the_public_surface() -> None:
    now = surface()
    if os.environ.get("UPDATE_SURFACE"):
        FILE.write_text(now, "utf-8")
    assert now == FILE.read_text("utf-8"), "the words have changed: see this module's first lines"


def test_the_words_are_sorted_and_there() -> None:
    assert tt.__all__ == sorted(tt.__all__, key=lambda name: (not name[0].isupper(), name))
    assert dir(tt) == sorted(tt.__all__)
    assert set(tt._LAZY) <= set(tt.__all__)


def test_a_room_does_not_hide_a_word() -> None:
    import trimtab.features  # noqa: F401  the room and the word have the same name

    assert callable(tt.features)
    assert tt.features is declare.features


def test_the_words_load_nothing_heavy() -> None:
    # In a fresh interpreter: what a file of declarations costs before it imports anything itself.
    script = "import sys, trimtab; print('\\n'.join(sys.modules))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    rooms = {name.split(".")[1] for name in found if name.startswith("trimtab.")}
    assert rooms == {"declare", "kernel"}
    heavy = {"numpy", "pyarrow", "pandas", "duckdb", "sqlalchemy", "starlette", "cryptography", "sklearn", "asyncio"}
    assert not heavy & set(found)
