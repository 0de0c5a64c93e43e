"""int8 by NNCF: calibrated on the user's own images, with a bound on what accuracy may drop."""

import io
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlens.errors import ConvlensError
from convlens.predicting.engines import Engine, OnnxRuntimeEngine
from convlens.predicting.openvino_core import signal_stack_kept
from convlens.predicting.runtimes import require_package
from convlens.predicting.tensor_names import INPUT
from convlens.predicting.untracked import untracked
from convlens.shipping.labelled import Labelled

CALIBRATION_IMAGES = 300
VALIDATION_IMAGES = 2000

Item = tuple[NDArray[np.float32], int]


def quantise(model: Any, calibration: Labelled, validation: Labelled, max_drop: float, threads: int) -> Any:
    """Make an int8 model whose accuracy drops by no more than `max_drop`, if NNCF finds one.

    NNCF turns the operations that cost most accuracy back to float32, one by one, until the bound holds or none is
    left; the caller measures what came out.

    Args:
        model: an `onnx.ModelProto` or an `openvino.Model` that begins at the preprocessed image.
        calibration: images whose activations decide the ranges.
        validation: images that the accuracy is measured on.
        max_drop: as a fraction, such as 0.005.
        threads: for measuring.

    Raises:
        RuntimeMissingError: NNCF is not installed.
        ConvlensError: NNCF cannot quantise this network.
    """
    nncf = _nncf()
    is_onnx = type(model).__name__ == "ModelProto"

    def item_to_input(item: Item) -> Any:
        return {INPUT: item[0][None]} if is_onnx else item[0][None]

    def measure(candidate: Any, items: Iterable[Item]) -> tuple[float, list[float]]:
        right = _right(_engine(candidate, threads), items)
        return float(np.mean(right)), right

    try:
        with _quiet():
            return nncf.quantize_with_accuracy_control(
                model,
                nncf.Dataset(_items(calibration), item_to_input),
                nncf.Dataset(_items(validation), item_to_input),
                measure,
                max_drop=max_drop,
                drop_type=nncf.DropType.ABSOLUTE,
                preset=nncf.QuantizationPreset.MIXED,  # activations such as SiLU are not symmetric
                subset_size=len(calibration.y),
            )
    except ConvlensError:
        raise
    except Exception as error:  # whatever NNCF makes of a graph that it does not know
        reason = " ".join(str(error).split())[:160]
        raise ConvlensError(f"NNCF cannot quantise this network ({reason}); use float32 or bfloat16") from error


def quantise_for_speed(model: Any, x_NCHW: NDArray[np.float32]) -> Any:
    """Make an int8 model without a bound on its accuracy, to be timed and not to be shipped.

    Args:
        model: an `onnx.ModelProto` or an `openvino.Model` that begins at the preprocessed image.
        x_NCHW: preprocessed images that decide the ranges.

    Raises:
        RuntimeMissingError: NNCF is not installed.
    """
    nncf = _nncf()
    is_onnx = type(model).__name__ == "ModelProto"
    items = [{INPUT: image[None]} if is_onnx else image[None] for image in x_NCHW]
    with _quiet():
        return nncf.quantize(model, nncf.Dataset(items), preset=nncf.QuantizationPreset.MIXED, subset_size=len(items))


def _nncf() -> Any:
    require_package("nncf", "the precision 'int8'")
    return untracked("nncf")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep NNCF's progress bars off the standard output, which may be read as JSON, and its log to errors.

    It also makes OpenVINO cores of its own, and drops them when it likes.
    """
    log = logging.getLogger("nncf")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings(), signal_stack_kept():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _items(images: Labelled) -> list[Item]:
    return list(zip(images.x, images.y.tolist(), strict=True))


def _engine(candidate: Any, threads: int) -> Engine | Callable[[Any], Any]:
    """NNCF hands over an ONNX graph, or an OpenVINO model already compiled."""
    if type(candidate).__name__ == "ModelProto":
        return OnnxRuntimeEngine(candidate.SerializeToString(), threads)
    return lambda x: candidate(x)[0]


def _right(engine: Engine | Callable[[Any], Any], items: Iterable[Item]) -> list[float]:
    """1.0 for each image whose likeliest class is the right one."""
    chosen = list(items)
    right: list[float] = []
    for start in range(0, len(chosen), 16):
        x, y = zip(*chosen[start : start + 16], strict=True)
        right += (engine(np.stack(x)).argmax(axis=1) == np.array(y)).astype(float).tolist()
    return right
