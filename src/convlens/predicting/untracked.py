"""OpenVINO, NNCF and ONNX Runtime report their use over the network, from when they are imported; here they do not."""

import os
import sys
import warnings
from importlib import import_module
from typing import Any

_OPENVINO = "openvino_telemetry"
_ONNX_RUNTIME = "ORT_DISABLE_TELEMETRY"


def untracked(package: str) -> Any:
    """Import `openvino`, `nncf` or `onnxruntime` so that nothing leaves the machine.

    OpenVINO and NNCF do without their telemetry package if it is not there, so it is made unavailable, unless the
    program that uses Convlens has imported it itself. ONNX Runtime (from 1.29 on, outside Windows) reads its variable
    when it is imported, and then keeps no device id, either; a user who has set the variable is left their choice.
    """
    sys.modules.setdefault(_OPENVINO, None)  # type: ignore[arg-type]
    os.environ.setdefault(_ONNX_RUNTIME, "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations within them and in what they import
        return import_module(package)
