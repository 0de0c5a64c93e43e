"""An explainer of one source for many images: a network with its graph, or a predictor that has no gradients."""

import threading
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from convlens.errors import ConvlensError, unknown_name
from convlens.explaining.explanation import METHODS, Explanation, check_options
from convlens.explaining.occlusion import explain_by_occlusion
from convlens.predicting.finite import check_finite
from convlens.predicting.protocol import Answering

if TYPE_CHECKING:
    from torch import nn

    from convlens.graph import Graph


class Explainer:
    """Explains one image after the other; calls from several threads take turns.

    Args:
        predictor: gives the classes, and the probabilities for occlusion.
        network: what the predictor runs, if it has gradients; not used by anything else meanwhile.
    """

    def __init__(self, predictor: Answering, network: "nn.Module | None") -> None:
        self.predictor = predictor
        self.network = network
        self._graph: Graph | None = None
        self._lock = threading.Lock()

    @property
    def default_method(self) -> str:
        """Grad-CAM where there are gradients, else occlusion."""
        return "gradcam" if self.network is not None else "occlusion"

    def check(self, method: str, target: str | None) -> int | None:
        """Find the index of a class, None for the likeliest.

        Raises:
            ConvlensError: no such method or class, or the method needs gradients.
        """
        if method not in METHODS:
            raise unknown_name("method", method, METHODS)
        if method != "occlusion" and self.network is None:
            raise ConvlensError("an artifact has no gradients; use the method occlusion, or the run itself")
        if target is None:
            return None
        if target not in self.predictor.classes:
            raise unknown_name("class", target, self.predictor.classes)
        return self.predictor.classes.index(target)

    def __call__(
        self,
        x_CHW: NDArray[np.float32],
        *,
        method: str,
        target: str | None = None,
        layer: str | None = None,
        patch: int | None = None,
    ) -> Explanation:
        """Explain one preprocessed image; see `explain`.

        Raises:
            NotFiniteError: the network gives no numbers.
        """
        index = self.check(method, target)
        check_options(method, layer, patch)
        with self._lock:
            check_finite(self.predictor.probabilities(x_CHW[np.newaxis]))
            if self.network is None or method == "occlusion":  # the predictor's arrangement in memory is the faster
                return explain_by_occlusion(self.predictor, x_CHW, index, patch)
            from convlens.explaining.explained_networks import explain
            from convlens.explaining.target import recorded

            if self._graph is None and method != "integrated-gradients":
                channels, height, width = x_CHW.shape
                self._graph = recorded(self.network, (channels, height, width))
            return explain(
                self.network, x_CHW, method=method, target=index, layer=layer, patch=patch, graph=self._graph
            )
