"""A network at work on one picture: what every layer gives, and the prediction."""

import gc
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from convlens import networks
from convlens.anatomy import Anatomy, inspect
from convlens.classifiers import Classifier, resolve
from convlens.errors import ConvlensError, unknown_name
from convlens.explorer.folding import Node, unfolded_graph
from convlens.explorer.shelf import ImageShelf
from convlens.explorer.shipped import open_shipped, shipped
from convlens.graph import execute, observe
from convlens.images import with_channels

if TYPE_CHECKING:
    from convlens.images import Preprocessing

T = TypeVar("T")

MOST_PATIENTS = 3
PATIENTS_BYTES = 400 * 2**20  # of weights; one network, however large, is kept
MOST_LOOKS = 6
KEPT_BYTES = 256 * 2**20  # of tensors that the looks keep together


@dataclass(frozen=True)
class Patient:
    """A classifier that can be looked into."""

    classifier: Classifier

    @property
    def name(self) -> str:
        """What it is called in addresses."""
        return self.classifier.name

    @property
    def network(self) -> torch.nn.Module:
        """In evaluation mode, with its weights."""
        return self.classifier.network

    @property
    def size(self) -> tuple[int, int, int]:
        """(C, H, W) of its images."""
        return self.classifier.image_shape

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of its outputs, in order."""
        return self.classifier.classes

    @property
    def preprocessing(self) -> "Preprocessing":
        """From an image to its input."""
        return self.classifier.preprocessing

    @property
    def trained(self) -> bool:
        """Whether its weights are more than the initial ones."""
        return self.classifier.provenance.trained

    @property
    def lock(self) -> "threading.RLock":
        """Held while the network runs, is recorded or is read."""
        return self.classifier.lock

    @cached_property
    def sheet(self) -> Anatomy:
        """Its anatomy."""
        with self.lock:
            return inspect(self.network, self.size)

    @cached_property
    def _unfolded(self) -> tuple[list[Node], list[tuple[str, str]]]:
        return unfolded_graph(self.sheet)

    @cached_property
    def nodes(self) -> dict[str, Node]:
        """Its layers, everything open: a convolution with its normalisation and activation is one."""
        return {node.id: node for node in self._unfolded[0]}

    @property
    def edges(self) -> list[tuple[str, str]]:
        """Which layer reads which, (from, to)."""
        return self._unfolded[1]

    def node(self, place: str) -> Node:
        """One layer.

        Raises:
            ConvlensError: it has none of that name.
        """
        if place not in self.nodes:
            raise unknown_name("layer", place, self.nodes)
        return self.nodes[place]


@dataclass
class Look:
    """A patient and a picture, `x` `(1, C, H, W)`: tensors are computed when asked for, and kept if not too large."""

    patient: Patient
    x: torch.Tensor
    _kept: dict[int, torch.Tensor] = field(default_factory=dict)

    @property
    def kept_bytes(self) -> int:
        """How much memory its tensors take."""
        return sum(tensor.nbytes for tensor in self._kept.copy().values())

    def tensors(self, wanted: set[int]) -> dict[int, torch.Tensor]:
        """Give some tensors of the forward pass, running it again only if one of them was not kept."""
        with self.patient.lock:
            missing = wanted - set(self._kept)
            if missing:
                graph = self.patient.sheet.graph
                also = {node.output for node in self.patient.nodes.values()} if not self._kept else set()
                sizes = sum(graph.tensors[index].nbytes for index in also)
                found = execute(self.patient.network, graph, self.x, missing | (also if sizes <= KEPT_BYTES else set()))
                room = KEPT_BYTES - self.kept_bytes
                known = self._kept | found
                if sum(tensor.nbytes for tensor in found.values()) <= room:
                    self._kept.update(found)
                return {index: known[index] for index in wanted}
            return {index: self._kept[index] for index in wanted}

    def output(self, place: str) -> torch.Tensor:
        """What a layer gives, without the batch: `(C, H, W)` or `(C,)`."""
        index = self.patient.node(place).output
        return self.tensors({index})[index][0]

    def glances(self, places: list[str], glance: Callable[[torch.Tensor], T]) -> dict[str, T]:
        """What is made of the outputs of several layers, each without the batch, one after the other.

        Not all outputs are in memory at once: those of a large network on a large image take gigabytes.
        """
        indices = {place: self.patient.node(place).output for place in places}
        with self.patient.lock:
            found = {index: glance(self._kept[index][0]) for index in set(indices.values()) & self._kept.keys()}

            def see(index: int, tensor: torch.Tensor) -> None:
                found[index] = glance(tensor[0])

            missing = set(indices.values()) - found.keys()
            if missing:
                observe(self.patient.network, self.patient.sheet.graph, self.x, missing, see)
        return {place: found[index] for place, index in indices.items()}

    def probabilities(self) -> NDArray[np.float32]:
        """The probability of each class."""
        index = self.patient.sheet.graph.outputs[0]
        scores = self.tensors({index})[index][0]
        answer: NDArray[np.float32] = torch.softmax(scores.float(), dim=0).numpy()
        return answer


class Clinic:
    """Patients and looks, the last few of each kept."""

    def __init__(self, images: ImageShelf, opened: Classifier | None) -> None:
        self._images = images
        self._opened = opened
        self._lock = threading.Lock()
        self._patients: OrderedDict[str, Patient] = OrderedDict()
        self._looks: OrderedDict[tuple[str, str], Look] = OrderedDict()

    def patient(self, name: str) -> Patient:
        """A network by name: the opened one with its weights, or one of the catalogue with initial weights."""
        with self._lock:
            if name not in self._patients:
                own = (self._opened is not None and name == self._opened.name) or name in shipped()
                self._make_room(0 if own else networks.card(name).parameters * 4)
                self._patients[name] = self._admit(name)
            self._patients.move_to_end(name)
            return self._patients[name]

    def look(self, name: str, picture: str) -> Look:
        """A network at work on a picture."""
        patient = self.patient(name)
        pixels = self._images.get(picture).pixels
        with self._lock:
            if (name, picture) not in self._looks:
                self._looks[name, picture] = Look(patient, prepared(patient, pixels))
            self._looks.move_to_end((name, picture))
            sizes = {key: look.kept_bytes for key, look in self._looks.items()}
            while len(self._looks) > 1 and (len(self._looks) > MOST_LOOKS or sum(sizes.values()) > KEPT_BYTES):
                sizes.pop(self._looks.popitem(last=False)[0])
            return self._looks[name, picture]

    def _make_room(self, more: int) -> None:
        """Let the networks go that were not looked at for longest, with what they gave, before `more` bytes come."""

        def size(patient: Patient) -> int:
            return sum(each.nbytes for each in patient.network.parameters())

        while self._patients and (
            len(self._patients) >= MOST_PATIENTS or sum(map(size, self._patients.values())) + more > PATIENTS_BYTES
        ):
            name, _ = self._patients.popitem(last=False)
            for key in [key for key in self._looks if key[0] == name]:
                del self._looks[key]
            gc.collect()  # an anatomy and its modules know each other, and may not wait for a full collection

    def _admit(self, name: str) -> Patient:
        if self._opened is not None and name == self._opened.name:
            return Patient(self._opened)
        if name in shipped():
            return Patient(open_shipped(name))
        networks.card(name)  # an address names networks of the catalogue, never code or a path
        return Patient(resolve(name))


def prepared(patient: Patient, pixels_HWC: NDArray[np.uint8]) -> torch.Tensor:
    """A picture as the network takes it, `(1, C, H, W)`."""
    wanted = patient.preprocessing.channels
    return torch.from_numpy(patient.preprocessing.apply(in_channels(pixels_HWC, wanted)))[None]


def in_channels(pixels_HWC: NDArray[np.uint8], wanted: int) -> NDArray[np.uint8]:
    """A picture in colour or in gray, as the network reads files.

    Raises:
        ConvlensError: it wants neither one nor three channels.
    """
    if wanted not in (1, 3):
        raise ConvlensError(f"the network takes images of {wanted} channels; pictures here have 1 or 3")
    return with_channels(pixels_HWC, wanted)


def seen(look: Look) -> NDArray[np.uint8]:
    """The picture as the network sees it, uint8 `(H, W, C)`: resized and cropped, the normalisation undone."""
    return look.patient.preprocessing.undo(look.x[0].numpy())


def softmax(look: Look, count: int = 10) -> dict[str, Any]:
    """The last step written out: scores, their exponentials against the largest, and the sum over all classes."""
    index = look.patient.sheet.graph.outputs[0]
    scores = look.tensors({index})[index][0].double().numpy()
    powers = np.exp(scores - scores.max())
    order = np.argsort(-scores)[:count]
    return {
        "largest": float(scores.max()),
        "sum": float(powers.sum()),
        "rows": [
            {"label": look.patient.classes[i], "score": float(scores[i]), "power": float(powers[i])} for i in order
        ],
    }


def best(look: Look, count: int = 5) -> list[dict[str, Any]]:
    """The likeliest classes with their probabilities."""
    probabilities = look.probabilities()
    order = np.argsort(-probabilities)[:count]
    return [{"label": look.patient.classes[i], "probability": float(probabilities[i])} for i in order]
