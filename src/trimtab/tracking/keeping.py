"""How models and frames are taken apart into what a run keeps."""

import mimetypes
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.data import content_digest
from trimtab.tracking.errors import BadName
from trimtab.tracking.models import pack_model
from trimtab.tracking.names import ROLE_LENGTH
from trimtab.tracking.records import LoggedModel
from trimtab.tracking.texts import warn

if TYPE_CHECKING:
    from trimtab.tracking.recorder import RunRecorder


def log_model(run: "RunRecorder", model: Any, sample: Any, *, name: str) -> LoggedModel:
    """Pack a model and keep its files with a run; return what to enter as its model."""
    packed = pack_model(model, sample)
    signature = msgspec.json.format(msgspec.json.encode(packed.signature))
    profile = msgspec.json.encode(packed.profile)
    kept = run.log_bytes(packed.data, f"{name}/model.{packed.format}", media_type="application/octet-stream")
    logged = LoggedModel(
        name=name,
        format=packed.format,
        digest=kept.digest,
        size_bytes=len(packed.data),
        signature=packed.signature,
        signature_digest=run.log_bytes(signature, f"{name}/signature.json", media_type="application/json").digest,
        sample=run.log_bytes(packed.sample, f"{name}/sample.parquet", media_type="application/octet-stream").digest,
        profile=run.log_bytes(profile, f"{name}/profile.json", media_type="application/json").digest,
        packages=packed.packages,
        why=packed.why,
    )
    run.set_tag(f"{name}.class", packed.kind)
    # A role is short; a long name loses its end there.
    role = f"{name[: ROLE_LENGTH - len('.sample')]}.sample"
    run.log_dataset(packed.sample_digest, role=role, rows=packed.profile.rows)
    return logged


def params_of(model: Any) -> dict[str, Any]:
    """Return all of an estimator's parameters, with those of the estimators in it; none for what is no estimator."""
    ask = getattr(model, "get_params", None)
    if not callable(ask) or isinstance(model, type):
        return {}
    try:
        return dict(ask(deep=True))
    except Exception as error:  # noqa: BLE001  a user's own estimator may have no such parameter
        warn(f"get_params of the {type(model).__name__} raises {type(error).__name__}: its attributes are kept instead")
        return {key: value for key, value in vars(model).items() if not key.startswith("_") and not key.endswith("_")}


def digest_of_frame(frame: Any) -> tuple[str, int]:
    """Return the digest of a frame's or matrix's values, and how many rows it has; raise ``BadName`` for anything else.

    The same values have the same digest in pandas, Polars and Arrow.
    """
    try:
        table = _table(frame)
        plain = pa.table({name: _plain(column) for name, column in zip(table.column_names, table.columns, strict=True)})
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise BadName(
            f"a {type(frame).__name__} is no dataset: {' '.join(str(error).split())[:160]}",
            where="log_dataset",
            why="A dataset is a snapshot, a digest, a frame or a matrix.",
            next="give one of these",
        ) from None
    return content_digest(plain), table.num_rows


def _table(frame: Any) -> pa.Table:
    if isinstance(frame, np.ndarray):
        if frame.ndim == 1:
            frame = frame[:, None]
        return pa.table({f"x{n}": np.ascontiguousarray(column) for n, column in enumerate(frame.T)})
    if hasattr(frame, "iloc"):
        return pa.Table.from_pandas(frame, preserve_index=False)
    return pa.table(frame.collect() if hasattr(frame, "collect") else frame)


def _decimals(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return decimals as floats of the same digits, else as whole numbers, else as texts."""
    found = column.to_pylist()
    known = [value for value in found if value is not None]
    plain: list[Any]
    if all(Decimal(repr(float(value))) == value for value in known):
        plain, kind = [None if value is None else float(value) for value in found], pa.float64()
    elif all(value == int(value) and -(2**63) <= value < 2**63 for value in known):
        plain, kind = [None if value is None else int(value) for value in found], pa.int64()
    else:
        texts = [None if value is None else f"{value:f}" for value in found]
        plain = [text.rstrip("0").rstrip(".") if text and "." in text else text for text in texts]
        kind = pa.string()
    return pa.chunked_array([pa.array(plain, kind)])


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column in one of the few types that digests know."""
    kind = column.type
    if pa.types.is_boolean(kind):
        return column
    if pa.types.is_uint64(kind) and (pc.max(column).as_py() or 0) >= 2**63:  # which fits no int64
        return column.cast(pa.string())
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    if pa.types.is_decimal(kind):
        return _decimals(column)
    if pa.types.is_floating(kind):
        numbers = column.cast(pa.float64())
        return pc.if_else(pc.is_nan(numbers), None, numbers)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        try:
            return column.cast(pa.timestamp("us", tz=getattr(kind, "tz", None)))
        except pa.ArrowInvalid:  # parts of a microsecond, or farther away than these reach
            return column.cast(pa.string())
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    return column.cast(pa.string())


def media_type_of(name: str) -> str:
    """Guess a file's type from its name."""
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
