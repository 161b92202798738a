"""Ask an endpoint of a server for a decision, by the Open Inference Protocol, as any client would."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from trimtab.kernel import Remote


class Predicted(msgspec.Struct, frozen=True, kw_only=True):
    """One answer: the decision's id, who gave it, and the outputs of the row."""

    decision: str
    answered_by: str
    outputs: dict[str, Any]


def infer(server: Remote, endpoint: str, row: Mapping[str, Any]) -> Predicted:
    """Ask an endpoint about one row: the key of a known one, the fields of a request, or every feature."""
    inputs = [
        {"name": name, "shape": [1], "datatype": _datatype(value), "data": [value]} for name, value in row.items()
    ]
    path = f"/v2/models/{quote(endpoint, safe='')}/infer"
    found = server.send_to(path, dict[str, Any], body={"inputs": inputs})
    return Predicted(
        decision=found["parameters"]["decision_ids"], answered_by=f"{endpoint}@{found['model_version']}",
        outputs={output["name"]: output["data"][0] if len(output["data"]) == 1 else output["data"]
                 for output in found["outputs"]},
    )  # fmt: skip


def _datatype(value: Any) -> str:
    match value:
        case bool():
            return "BOOL"
        case int():
            return "INT64"
        case float() | None:
            return "FP64"
        case _:
            return "BYTES"
