"""A trained and evaluated model, as the training path would register it."""

from typing import Any

import msgspec
import numpy as np

from trimtab.declare import Condition, Metric, Threshold
from trimtab.evaluation import Evaluation, Maturity, evaluate, judge, save_evaluation
from trimtab.kernel import Actor, digest_of_bytes
from trimtab.registry import Approval, Artifact, Lineage, ModelArtifacts, Version, approve, register_version
from trimtab.store import Store

ANN, BOB = Actor("ann"), Actor("bob")
CODE, ENVIRONMENT, FEATURES, POLICY = (digest_of_bytes(text) for text in (b"code", b"env", b"features", b"policy"))


def artifacts(store: Store, *, model: bytes = b"model") -> ModelArtifacts:
    put = store.blobs.put
    return ModelArtifacts(
        model=put(model), format="skops", signature=put(b'{"inputs":[]}'), sample=put(b"sample"),
        also=(Artifact(format="onnx", digest=put(b"onnx of " + model)),),
    )  # fmt: skip


def lineage(store: Store, **changes: Any) -> Lineage:
    values: dict[str, Any] = {
        "data": (store.blobs.put(b"flights"), store.blobs.put(b"weather")), "code": CODE, "environment": ENVIRONMENT,
        "features": FEATURES, "policy": POLICY, "view": "delay", "snapshots": ("snap_1", "snap_2"),
    }  # fmt: skip
    return Lineage(**(values | changes))


def evaluated(
    store: Store, actor: Actor = ANN, *, model: bytes = b"model", passes: bool = True, maturity: Maturity | None = None,
    found: Evaluation | None = None,
) -> str:  # fmt: skip
    """Save an evaluation (``found``, or one of sixty rows) of the model's bytes and return its id."""
    random = np.random.default_rng(0)
    p = random.random(60)
    now = store.clock.now()
    y = random.random(60) < p
    found = found or evaluate(task="classification", y=y, prediction=p, measured_at=now, resamples=20)
    found = msgspec.structs.replace(found, maturity=maturity or Maturity())
    accept = (Condition(left=Metric(name="auc"), op=">=", right=Threshold(value=0.1 if passes else 0.999)),)
    with store.change(actor, "evaluate") as change:
        return save_evaluation(
            change, found, blobs=store.blobs, model_digest=digest_of_bytes(model),
            dataset_digest=digest_of_bytes(b"test rows"), code_digest=CODE,
            verdict=judge(accept, candidate=found, now=now),
        ).id  # fmt: skip


def registered(
    store: Store,
    actor: Actor = ANN,
    *,
    model: bytes = b"model",
    name: str = "late",
    passes: bool = True,
    **changes: Any,
) -> Version:
    """Register a model of these bytes, evaluated unless ``evaluation_id`` says otherwise."""
    values: dict[str, Any] = {
        "model": name, "artifacts": artifacts(store, model=model), "lineage": lineage(store), "params": {"trees": 120},
    }  # fmt: skip
    if "evaluation_id" not in changes:
        values["evaluation_id"] = evaluated(store, actor, model=model, passes=passes)
    with store.change(actor, "train") as change:
        return register_version(change, **(values | changes))


def approved(store: Store, by: Actor = BOB, **changes: Any) -> tuple[Version, Approval]:
    version = registered(store, **changes)
    with store.change(by, "it is better") as change:
        return version, approve(change, version)
