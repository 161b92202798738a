"""How models are taken apart into what a run keeps."""

import mimetypes
from typing import TYPE_CHECKING, Any

import msgspec

from trimtab.tracking.models import PackedModel
from trimtab.tracking.names import ROLE_LENGTH
from trimtab.tracking.records import LoggedModel
from trimtab.tracking.texts import texts_of, warn

if TYPE_CHECKING:
    from trimtab.tracking.recorder import RunRecorder


def keep_packed(run: "RunRecorder", packed: PackedModel, *, name: str) -> LoggedModel:
    """Keep a packed model's files with a run; return what to enter as its model."""
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


def model_params(model: Any) -> dict[str, str]:
    """Return an estimator's parameters as texts, with those of the estimators in it; none for what is no estimator."""
    return texts_of(_params_of(model), of="parameter")


def _params_of(model: Any) -> dict[str, Any]:
    """Return all of an estimator's parameters, with those of the estimators in it; none for what is no estimator."""
    ask = getattr(model, "get_params", None)
    if not callable(ask) or isinstance(model, type):
        return {}
    try:
        return dict(ask(deep=True))
    except Exception as error:  # noqa: BLE001  a user's own estimator may have no such parameter
        warn(f"get_params of the {type(model).__name__} raises {type(error).__name__}: its attributes are kept instead")
        return {key: value for key, value in vars(model).items() if not key.startswith("_") and not key.endswith("_")}


def media_type_of(name: str) -> str:
    """Guess a file's type from its name."""
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
