"""Try a version before it is approved or routed: load it and let it answer its stored sample, as a gateway will."""

from trimtab.kernel import NotFound, TrimtabError
from trimtab.serving.errors import NotServable
from trimtab.serving.loader import Loader
from trimtab.serving.records import Released
from trimtab.serving.runtimes import check_rows
from trimtab.serving.threads import Threads

TRY_S = 60.0
"""How long a version may take to be loaded and to answer its stored sample."""


class OnTrial:
    """Lets a loader read one version's verified bytes before it has a release, to judge it; it answers nobody."""

    def __init__(self, released: Released) -> None:
        self._released = released

    def checked(self, model: str, version: int) -> Released:
        if (model, version) != (self._released.model, self._released.version):
            raise NotFound(
                f"{model}@{version} is not on trial", where="serving.trial", why="Only one version is at a time.",
                next="trimtab get versions",
            )  # fmt: skip
        return self._released


def check_servable(loader: Loader, model: str, version: int) -> None:
    """Load a version and let it answer its stored sample, one row and all of them.

    Raises what loading raises, and ``NotServable`` when it does not answer, or not within ``TRY_S`` seconds.
    """
    ref = f"{model}@{version}"
    threads = Threads(1, f"trimtab-trial-{ref}")
    try:
        threads.submit(_tried, loader, model, version).result(TRY_S)
    except TrimtabError:
        raise
    except TimeoutError:
        raise _not_servable(ref, f"It did not answer its stored sample within {TRY_S:g} s.") from None
    except Exception as error:  # the edge to a model's code, which may raise anything
        text = " ".join(str(error).split())[:300].rstrip(".") or "nothing"
        raise _not_servable(ref, f"On its stored sample it raised {type(error).__name__}: {text}.") from error
    finally:
        threads.close(within_s=0.0)


def _tried(loader: Loader, model: str, version: int) -> None:
    loaded = loader.load(model, version)
    for rows in (loaded.sample[:1], loaded.sample):
        check_rows(loaded.runtime.predict(rows), len(rows))


def _not_servable(ref: str, why: str) -> NotServable:
    return NotServable(
        f"{ref} cannot be served", where=f"version {ref}", why=why, version=ref,
        next="train it again, or pack it in another way, and register that",
    )  # fmt: skip
