"""OpenVINO and NNCF report their use over the network, from the moment they are imported; here they do not."""

import sys
import warnings
from importlib import import_module
from typing import Any

_TELEMETRY = "openvino_telemetry"


def untracked(package: str) -> Any:
    """Import `openvino` or `nncf` so that nothing leaves the machine.

    Both do without their telemetry package if it is not there, so it is made unavailable, unless the program that uses
    Convlens has imported it itself.
    """
    sys.modules.setdefault(_TELEMETRY, None)  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations within them and in what they import
        return import_module(package)
