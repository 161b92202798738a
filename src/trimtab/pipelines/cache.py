"""Steps that need not run, because the same code has seen the same values before."""

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import select

from trimtab.kernel import NotFound, digest_of
from trimtab.pipelines.code import source_digest
from trimtab.pipelines.finish import Taken
from trimtab.pipelines.records import StepSpec, StepStatus
from trimtab.pipelines.tables import pipeline_steps as steps
from trimtab.store import Damaged, Store


def key_of(step: StepSpec, *, params: Mapping[str, Any], inputs: Mapping[str, dict[str, Any]]) -> str | None:
    """Return the digest of all that a step's result depends on: function, code, visible params, inputs.

    None when the code is not found, and so nothing says what the result depends on.
    """
    source = source_digest(step.function)
    if source is None:
        return None
    return digest_of(
        {
            "function": step.function, "source": source, "code": step.code, "params": step.params_of(params),
            "inputs": dict(inputs),
        }
    )  # fmt: skip


def find(store: Store, key: str) -> Taken | None:
    """Return the newest outputs under a key, if all the bytes that they were kept with are here, and undamaged."""
    query = (
        select(steps.c.run_id, steps.c.name, steps.c.outputs, steps.c.blobs)
        .where(steps.c.cache_key == key, steps.c.status == StepStatus.SUCCEEDED.value)
        .order_by(steps.c.run_id.desc())
        .limit(1)
    )
    with store.read() as connection:
        row = connection.execute(query).first()
    if row is None:
        return None
    blobs = msgspec.json.decode(row.blobs, type=tuple[str, ...])
    if not all(_is_whole(store, digest) for digest in blobs):
        return None
    return Taken(key=key, run_id=row.run_id, step=row.name, outputs=row.outputs, blobs=blobs)


def _is_whole(store: Store, digest: str) -> bool:
    # Read and not only looked for: a damaged one is mended by doing the step again, and by nothing else.
    try:
        store.blobs.local_path(digest)
    except (NotFound, Damaged):
        return False
    return True
