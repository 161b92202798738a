"""The Open Inference Protocol v2 over HTTP: health, metadata and inference, with JSON and with binary tensors.

In: requests of any client of the protocol. Out: the gateway's answers, each row's decision id beside it.
"""

from trimtab.wire.inference.app import inference_app
from trimtab.wire.inference.face import face

__all__ = ["face", "inference_app"]
