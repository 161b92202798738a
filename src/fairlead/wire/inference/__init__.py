"""The Open Inference Protocol v2 over HTTP: health, metadata and inference, with JSON and with binary tensors.

In: requests of any client of the protocol. Out: the gateway's answers, each row's decision id beside it.
"""

from fairlead.wire.inference.app import inference_app
from fairlead.wire.inference.face import face

__all__ = ["face", "inference_app"]
