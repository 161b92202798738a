"""What runs behind the walls: the user's file, its sources and its train functions. Nothing here has the store."""

import ast
import importlib
import random
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from trimtab.data import read_source
from trimtab.declare import ModelSpec, Project, SourceSpec, declaration_digest, load_project
from trimtab.features import compile_view
from trimtab.kernel import Conflict, SystemClock
from trimtab.loop.fitting import fit, pack
from trimtab.loop.frames import as_float, label_of, model_input
from trimtab.loop.split import WEIGHT
from trimtab.pipelines import GuestContext

READ = "trimtab.loop.own_code:read"
UNCHANGED = "trimtab.loop.own_code:unchanged"
TRAIN = "trimtab.loop.own_code:train"
_LIBRARIES = ("onnx", "onnxruntime", "pandas", "skl2onnx", "sklearn", "skops")
"""What models are packed and loaded with: it takes a second to import, and is Trimtab's as much as the user's."""


class FileChanged(Conflict):
    """The user's file is no longer the one that was planned."""

    code = "loop.file-changed"
    default_why = "The run was submitted for another state of this file, and its records name that state."
    default_next = "trimtab plan, then trimtab apply"


def import_before_guests(params: Mapping[str, Any]) -> None:
    """Import what a project's file imports of the libraries that models are packed and loaded with.

    A worker does it before its guests are forked: so they and itself import it once.
    """
    named = set(_imported_by(Path(params["file"]))) if "file" in params else set()
    if any(name.startswith("sklearn") for name in named):
        named.add("skops.io")
    for name in sorted(named):
        if name.partition(".")[0] in _LIBRARIES:
            with suppress(Exception):  # what goes wrong is told when the file is loaded
                importlib.import_module(name)


def _imported_by(file: Path) -> Iterator[str]:
    """Yield the modules that a file names in its imports, without running it."""
    for part in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(part, ast.Import):
            yield from (alias.name for alias in part.names)
        elif isinstance(part, ast.ImportFrom) and part.module and not part.level:
            yield part.module


def read(context: GuestContext) -> dict[str, Any]:
    """Read a source: its rows are the frame ``rows`` of the answer."""
    source = msgspec.convert(context.params["source"], SourceSpec)
    project = load_project(Path(context.params["file"]))
    now = project.spec.source_of(source.contract.name)
    if now is None or declaration_digest(now) != declaration_digest(source):
        raise FileChanged(
            f"source {source.name} has changed in {project.path.name}", where=source.where or project.path.name
        )
    context.put_frame("rows", read_source(source, project.namespace))
    return {}


def unchanged(context: GuestContext) -> dict[str, Any]:
    """Raise ``FileChanged`` when the train function is no longer the one that was planned."""
    _project_of(context, msgspec.convert(context.params["model"], ModelSpec))
    return {}


def train(context: GuestContext) -> dict[str, Any]:
    """Call the train function on the frame ``train``, and pack the model that it returns: see ``Trained``."""
    model = msgspec.convert(context.params["model"], ModelSpec)
    project = _project_of(context, model)
    frame = context.frame("train")
    rows, y = model_input(frame, compile_view(model.view)), label_of(frame, model.label.task)
    weights = as_float(frame[WEIGHT].combine_chunks()) if model.immature else None
    # An estimator without a random_state of its own draws from these.
    np.random.seed(model.seed)  # noqa: NPY002
    random.seed(model.seed)
    machine = SystemClock()
    started = machine.monotonic()
    fitted = fit(project, model, rows, y, weights=weights, log=context.params["log"])
    seconds = machine.monotonic() - started
    plain: dict[str, Any] = msgspec.to_builtins(pack(context, fitted, rows, seconds=seconds))
    return plain


def _project_of(context: GuestContext, model: ModelSpec) -> Project:
    project = load_project(Path(context.params["file"]))
    now = next((found for found in project.spec.models if found.name == model.name), None)
    if now is None or now.code != model.code:
        raise FileChanged(
            f"the train function of {model.name} has changed in {project.path.name}",
            where=model.where or project.path.name,
        )
    return project
