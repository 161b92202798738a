"""Ask a running server by the Open Inference Protocol, with its own client, in every way that a row can be given."""

from typing import Any

import numpy as np
import tritonclient.http as triton

DATATYPES = {"weight": "FP64", "sent_hour": "INT64", "depot_delay_mean_24h": "FP64"}
"""What is not a text."""
NUMPY = {"FP64": np.float64, "INT64": np.int64, "BYTES": np.object_}


def infer(client: Any, endpoint: str, row: dict[str, Any], *, binary: bool) -> tuple[str, float, str]:
    """Ask about one row; return the decision's id, the probability, and the version that answered."""
    inputs = []
    for name, value in row.items():
        datatype = DATATYPES.get(name, "BYTES")
        one = triton.InferInput(name, [1], datatype)
        one.set_data_from_numpy(np.array([value], dtype=NUMPY[datatype]), binary_data=binary)
        inputs.append(one)
    wanted = [triton.InferRequestedOutput("probability", binary_data=binary)]
    answer = client.infer(endpoint, inputs, outputs=wanted)
    about = answer.get_response()
    return about["parameters"]["decision_ids"], float(answer.as_numpy("probability")[0]), about["model_version"]


def body_of(row: dict[str, Any]) -> dict[str, Any]:
    """Return one row as a request's JSON, for a client that is faster than the protocol's own."""
    return {
        "inputs": [
            {"name": name, "shape": [1], "datatype": DATATYPES.get(name, "BYTES"), "data": [value]}
            for name, value in row.items()
        ]
    }
