"""The only place where a model's bytes become a model: under a checked release, verified, then those very bytes.

Formats are ``skops``, whose types must all stand on a list, and ``onnx``, which holds no code. Anything that runs code
when it is read, such as a pickle, is refused whatever it is called; so is what would read other files or other memory
when it runs.
"""

import io
import zipfile
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa

from trimtab.data import parquet_in
from trimtab.kernel import MissingExtra, TrimtabError, digest_of_bytes
from trimtab.serving.errors import LoadRefused
from trimtab.serving.onnx_runtime import OnnxRuntime
from trimtab.serving.records import Input, Released, Scalar
from trimtab.serving.released import Releases
from trimtab.serving.runtimes import Rows, Runtime
from trimtab.serving.sklearn_runtime import SklearnRuntime
from trimtab.store import Store, StoreAway
from trimtab.tracking import Unsound, check_bounds, check_graph

FORMATS = ("skops", "onnx")
TRIES = 5
UNPACKED_LIMIT = 4 << 30
"""Bytes that a skops archive may unpack to."""


class LoadedModel(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A model in memory, and the release under which it was loaded."""

    released: Released
    runtime: Runtime
    sample: Rows


class Loader:
    """Loads released versions. ``allowed`` are the types that a skops file may hold beyond those skops trusts."""

    def __init__(self, store: Store, releases: Releases, *, allowed: Collection[str], threads: int = 1) -> None:
        self._store = store
        self._releases = releases
        self._allowed = frozenset(allowed)
        self._threads = threads

    def load(self, model: str, version: int, *, serves_from: datetime | None = None) -> LoadedModel:
        """Return a version ready to predict, and with ``serves_from`` to answer people from that moment on.

        Raises ``Refused`` when its release does not hold or has expired by then, or its bytes differ.
        """
        released = self._releases.checked(model, version)
        if serves_from is not None:
            released.may_begin(serves_from)
        data = self._verified(released, released.digest, "model")
        sample = self._sample(released)
        runtime = self._runtime(released, data, sample)
        return LoadedModel(released=released, runtime=runtime, sample=sample)

    def _verified(self, released: Released, digest: str, what: str) -> bytes:
        try:
            data = self._store.blobs.get(digest)
        except StoreAway:
            raise  # that passes, and says nothing about the model
        except TrimtabError as error:
            raise LoadRefused(
                f"the {what} of {released.ref} cannot be read: {error.what}",
                where=f"version {released.ref}",
                why=error.why,
                version=released.ref,
            ) from error
        # Blob stores verify what they read; the gate does not rely on it.
        if digest_of_bytes(data) != digest:
            raise LoadRefused(
                f"the {what} of {released.ref} is not the one that was released",
                where=f"version {released.ref}",
                why=f"The release covers {digest[:19]}…, and these bytes are others.",
                version=released.ref,
            )
        return data

    def _sample(self, released: Released) -> Rows:
        if released.sample is None:
            return Rows([_neutral(released.inputs)])
        data = self._verified(released, released.sample, "sample")
        try:
            rows = sample_rows(parquet_in(data), released.inputs)
        except (KeyError, ValueError, TypeError, OSError, pa.ArrowException) as error:
            raise _refused(released, "sample", f"It does not hold rows of the model's inputs ({error}).") from error
        return rows if len(rows) else Rows([_neutral(released.inputs)])

    def _runtime(self, released: Released, data: bytes, sample: Rows) -> Runtime:
        if released.format not in FORMATS:
            raise _refused(
                released,
                "format",
                f"{released.format!r} is not one of {' and '.join(FORMATS)}, the formats that run no code when read.",
            )
        try:
            if released.format == "skops":
                return SklearnRuntime(self._skops(released, data), released.inputs, sample=sample)
            check_graph(data, where="serving")
            classes = released.classes if released.task == "classification" else ()
            return OnnxRuntime(data, released.inputs, sample=sample, classes=classes, threads=self._threads)
        except TrimtabError:
            raise
        except Unsound as unsound:
            raise _refused(released, "model", f"What runs is what was approved, and {unsound}.") from None
        except Exception as error:  # the edge to readers of foreign bytes, which raise whatever they like
            raise _refused(released, "model", f"It cannot be read as {released.format}: {_short(error)}.") from error

    def _skops(self, released: Released, data: bytes) -> Any:
        try:
            import skops.io as skops
        except ImportError:
            raise MissingExtra(
                "a scikit-learn model cannot be served", where="serving", package="skops", extra="sklearn"
            ) from None
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(info.file_size for info in archive.infolist()) > UNPACKED_LIMIT:
                raise _refused(released, "model", f"It unpacks to more than {UNPACKED_LIMIT >> 30} GiB.")
        found = skops.get_untrusted_types(data=data)
        strangers = [name for name in found if name not in self._allowed]
        if strangers:
            raise _refused(
                released,
                "model",
                f"It holds {', '.join(strangers[:5])}, which is not on the list of types that may be loaded.",
            )
        model = _read(lambda: skops.loads(data, trusted=found))
        check_bounds(model)
        return model


def _read(load: Callable[[], Any]) -> Any:
    """Call ``load``, and again where CPython 3.11 mixes up two threads that read arrays at once (its issue 106905)."""
    for _ in range(TRIES - 1):
        with suppress(SystemError):
            return load()
    return load()


def sample_rows(table: pa.Table, inputs: tuple[Input, ...]) -> Rows:
    """Return a table's rows as plain values, in the order of the inputs. Raises ``KeyError`` for a missing column."""
    columns = [table[column.name].to_pylist() for column in inputs]
    return Rows([list(row) for row in zip(*columns, strict=True)])


def _neutral(inputs: tuple[Input, ...]) -> list[Scalar]:
    """Return a row to try a model with that was registered without a sample."""
    values: dict[str, Scalar] = {"float": 0.0, "int": 0, "bool": False}
    return [column.categories[0] if column.categories else values.get(column.kind, "") for column in inputs]


def _refused(released: Released, what: str, why: str) -> LoadRefused:
    return LoadRefused(
        f"the {what} of {released.ref} is not loaded", where=f"version {released.ref}", why=why, version=released.ref
    )


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
