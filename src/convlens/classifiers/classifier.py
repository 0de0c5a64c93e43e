"""A network with all that belongs to it: its input, its classes, its preprocessing, and where it comes from."""

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from convlens import networks
from convlens.artifacts.artifact_predictor import OpenArtifact
from convlens.artifacts.manifest import Manifest
from convlens.errors import ConvlensError
from convlens.images import Preprocessing
from convlens.predicting.engines import Precision
from convlens.predicting.versions import versions

if TYPE_CHECKING:
    from torch import nn

    from convlens.predicting import Predictor

Kind = Literal["run", "artifact", "network", "code", "module"]

_ON_THE_CARD = ("name", "paper", "year", "parameters", "macs", "top1", "top5", "accuracy_source")


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a classifier comes from.

    Attributes:
        choice: the arguments that `networks.create` builds its network from; of code only the name.
        trained: whether its weights are more than initial ones, as far as that is known.
        weights: the name of the published weights, or the file that they were read from; "" for neither.
        licence: under which terms the weights may be used.
        run: name and fingerprints of the run; empty if there is none.
        data: the data that a run was trained on, as they were named then; None if that is not known.
        columns: of a table of data, if they were named.
        folder: the run's folder.
        weights_file: the run's weights.
    """

    choice: Mapping[str, Any]
    trained: bool
    weights: str = ""
    licence: str = ""
    run: Mapping[str, Any] = field(default_factory=dict)
    data: str | None = None
    columns: str | None = None
    folder: Path | None = None
    weights_file: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """What `resolve` finds behind anything that a user may name. Weights are read when they are first asked for.

    Attributes:
        source: as the user wrote it.
        kind: what it is.
        name: for messages, file names and addresses.
        shape: of its input without the batch, (C, H, W) for images.
        provenance: where it comes from.
        prepared: how its images are prepared; None where nothing says so.
        names: the class names, in the order of the outputs; None where nothing names them.
        names_fit: there are as many names as outputs; otherwise they are counted when they are first asked for.
        structure: makes the network for its anatomy, without memory for weights where that can be.
        load: makes the network with its weights; None where only a runtime can run it.
        artifact: the opened file, of an artifact.
        lock: held while the network runs, is recorded or is read: recording puts stand-ins in place of its weights, and
            another thread must not meet them.
    """

    source: str
    kind: Kind
    name: str
    shape: tuple[int, ...]
    provenance: Provenance
    prepared: Preprocessing | None
    lock: "threading.RLock" = field(default_factory=threading.RLock, repr=False, compare=False)
    names: tuple[str, ...] | None = field(default=None, repr=False)
    names_fit: bool = field(default=False, repr=False)
    structure: "Callable[[], nn.Module]" = field(repr=False, compare=False)
    load: "Callable[[], nn.Module] | None" = field(default=None, repr=False, compare=False)
    artifact: OpenArtifact | None = field(default=None, repr=False, compare=False)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of a prepared image.

        Raises:
            ConvlensError: it does not take one image.
        """
        if len(self.shape) != 3 or self.shape[0] not in (1, 3):
            raise ConvlensError(
                f"{self.source} takes an input of shape {self.shape}; images are (3, H, W) or (1, H, W)"
            )
        channels, height, width = self.shape
        return channels, height, width

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """From an image to the network's input; where nothing says how, values are only scaled to 0..1.

        Raises:
            ConvlensError: it does not take one image.
        """
        if self.prepared is not None:
            return self.prepared
        channels, height, width = self.image_shape
        return Preprocessing(
            size=(height, width),
            resize=height if height == width else (height, width),
            crop="center" if height == width else None,
            mean=(0.0,) * channels,
            std=(1.0,) * channels,
            channels=channels,
        )

    @cached_property
    def network(self) -> "nn.Module":
        """The network with its weights, in evaluation mode.

        Raises:
            ConvlensError: it is an artifact, whose network only its runtime can run; or the weights do not fit.
        """
        if self.load is None:
            raise ConvlensError(
                f"{self.source} is an artifact, into whose network one cannot look; give the run that it was made from"
            )
        return self.load().eval()

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The class names, in the order of the outputs; numbers where nothing names them.

        Raises:
            ConvlensError: the network does not give one score a class.
        """
        count = None if self.names_fit else self._outputs()
        if self.names is None:
            return tuple(str(number) for number in range(count or 0))
        if count is not None and count != len(self.names):
            raise ConvlensError(
                f"{self.source} has {count} outputs and {len(self.names)} class names; "
                "give one name for each, in the order of the outputs"
            )
        return self.names

    @property
    def network_name(self) -> str:
        """The network's name in the catalogue; of code, what the user wrote."""
        return str(self.provenance.choice["name"])

    @property
    def card(self) -> dict[str, Any]:
        """What is published about the network; empty for one that is not of the catalogue."""
        if not networks.is_name(self.network_name):
            return {}
        card = networks.card(self.network_name)
        return {entry: getattr(card, entry) for entry in _ON_THE_CARD}

    @cached_property
    def fingerprint(self) -> str:
        """The same for the same weights, classes and preprocessing, whatever they are called; hexadecimal."""
        digest = hashlib.sha256(repr((self.classes, self.preprocessing.to_dict(), self.shape)).encode())
        if self.artifact is not None:
            digest.update(self.artifact.path.read_bytes())
        else:
            digest.update(repr(sorted(self.provenance.choice.items())).encode())
            for name, tensor in self.network.state_dict().items():
                digest.update(name.encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def manifest(self, precision: Precision, *, inside: bool = False) -> Manifest:
        """What an artifact of it has to say, but for its proof."""
        run = dict(self.provenance.run)
        if self.provenance.weights_file is not None:
            run["weights_sha256"] = hashlib.sha256(self.provenance.weights_file.read_bytes()).hexdigest()
        network = {"dropout": None, **self.provenance.choice}  # of code and modules, the choice is but a name
        network |= {"classes": len(self.classes), "channels": self.image_shape[0], "size": list(self.image_shape[1:])}
        return Manifest(
            network=network,
            classes=self.classes,
            preprocessing=self.preprocessing,
            preprocessing_inside=inside,
            precision=precision,
            card=self.card,
            run=run,
            weights_licence=self.provenance.licence,
            versions=versions(),
        )

    def predictor(
        self, *, runtime: str | None = None, threads: int | None = None, device: str = "auto", batch: int = 1
    ) -> "Predictor":
        """Make it answer images.

        Args:
            runtime: `"torch"`, `"onnxruntime"`, `"openvino"` or `"engine"`; None takes PyTorch, or the artifact's own;
                `"auto"` measures those that are installed and remembers the fastest.
            threads: that one call may use; None takes the processors that the container has.
            device: where PyTorch runs; `"auto"` takes a GPU if there is one. Other runtimes run on the processor.
            batch: images in a call, for `runtime="auto"`.

        Raises:
            ConvlensError: the weights do not fit, or the runtime is missing or cannot run it.
        """
        from convlens.classifiers.running import predictor_of

        return predictor_of(self, runtime=runtime, threads=threads, device=device, batch=batch)

    def _outputs(self) -> int:
        from convlens.anatomy import inspect

        # a network whose weights were read tells what they are for, which its outline does not know
        network = self.network if "network" in self.__dict__ or self.provenance.trained else self.structure()
        with self.lock:
            shapes = inspect(network.eval(), self.shape).output_shapes
        if not shapes or len(shapes[0]) != 2:
            shown = shapes[0] if shapes else "nothing"
            raise ConvlensError(f"{self.source} gives {shown}; a classifier gives one score a class, (N, classes)")
        return int(shapes[0][1])
