"""The training configuration, defined once: a field here is a flag, a YAML key and a Python argument."""

from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from convlens.errors import ConvlensError, unknown_name
from convlens.ranges import Range, check_ranges
from convlens.sizes import image_size

Optimizer = Literal["sgd", "adamw", "lamb"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
MemoryFormat = Literal["auto", "channels_last", "contiguous"]
Compile = Literal["auto", "none", "default", "reduce-overhead"]
Balance = Literal["none", "sampling", "loss"]
Policy = Literal["none", "trivial", "rand"]
Log = Literal["none", "tensorboard", "mlflow"]
Augment = Literal["auto", "none"]
Cache = Literal["auto", "memory", "disk", "none"]
Monitor = Literal["top1", "macro_f1", "log_loss"]


def _option(default: Any, text: str) -> Any:
    """A field with its default and the sentence that the command line shows for it."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that decides what a training does; checked when it is made.

    Raises:
        ConvlensError: naming the field, its value and what it may be.
    """

    data: str = field(metadata={"help": "A folder of images with a folder a class, or digits."})
    network: str = _option("resnet18", "Name of the network; convlens networks lists them.")
    recipe: str = _option(
        "auto",
        "auto, scratch, probe, finetune, strong, or a YAML file; auto finetunes where weights are given or here.",
    )
    weights: str | None = _option(None, "Weights to start from: a published name, a file, or a run folder.")
    size: tuple[int, int] | None = _option(
        None,
        "Size of the input in pixels: 224, or 192,256 for height and width; chosen from the images if not given.",
    )
    channels: int | None = _option(None, "3 for RGB, 1 for gray; from the images if not given.")
    dropout: float | None = _option(None, "Share of the last layer's inputs that is dropped; the paper's if not given.")
    epochs: int = _option(30, "How often training sees all images; 0 with --probe, which then is all.")
    batch: int = _option(32, "Images a step.")
    optimizer: Optimizer = _option("adamw", "sgd (Nesterov momentum 0.9), adamw, or lamb for large batches.")
    lr: float | None = _option(None, "Largest learning rate; 0.001 (adamw), 0.005 (lamb), 0.05 (sgd) if not given.")
    weight_decay: float | None = _option(
        None, "Pull of weights towards zero, not of norms and biases; 0.0005 for sgd, else 0.05, if not given."
    )
    warmup: float = _option(0.05, "Share of all steps in which the learning rate rises, before it falls as a cosine.")
    label_smoothing: float = _option(0.1, "Share of the target that is spread over all classes.")
    clip_norm: float = _option(2.0, "Largest norm of the gradient; 0 for no limit.")
    augment: Augment = _option("auto", "auto: shifts or crops, and flips where a mirror image keeps its class; none.")
    mirrors: bool | None = _option(
        None,
        "Whether a mirror image shows the same class. If not, as with letters and signs, nothing is flipped, or turned "
        "by more than 30 degrees. If not given: no for digits and IDX files, else yes.",
    )
    policy: Policy = _option("none", "Random operations: none, trivial (TrivialAugment), rand (RandAugment).")
    jitter: float = _option(0.0, "Largest relative change of brightness, contrast and saturation.")
    mixup: float = _option(0.0, "Parameter of mixup, which blends two images; 0 for none.")
    cutmix: float = _option(0.0, "Parameter of cutmix, which puts a patch of one image into another; 0 for none.")
    erasing: float = _option(0.0, "Share of images in which a rectangle is blanked.")
    repeats: int = _option(1, "How often an image comes in an epoch, each time augmented anew.")
    balance: Balance = _option("none", "sampling shows all classes equally often, loss weighs them equally; none.")
    ema: float = _option(0.0, "Decay of an average of the weights, which is kept instead, such as 0.999; 0 for none.")
    accumulate: int = _option(1, "Parts in which a batch is computed, to save memory.")
    recompute: bool = _option(False, "Compute activations again in the backward pass, to save memory.")
    probe: bool = _option(
        False, "Begin with a last layer fitted by logistic regression to what the rest makes of the images."
    )
    freeze_epochs: int = _option(0, "Epochs in which only the last layer learns.")
    layer_decay: float = _option(1.0, "Learning rate of a stage relative to the one after it.")
    teacher: str | None = _option(None, "A run whose network teaches this one (distillation).")
    teacher_share: float = _option(0.5, "Share of the loss that compares with the teacher.")
    temperature: float = _option(2.0, "Temperature at which both are compared.")
    monitor: Monitor = _option(
        "top1", "Figure on the validation split that decides which epoch is kept: the latest near the best."
    )
    patience: int = _option(0, "Stop after so many epochs without a better one; 0 for never.")
    precision: Precision = _option(
        "auto", "float32, bfloat16, or float16 (CUDA only); auto takes a half where timed steps show that it is faster."
    )
    memory_format: MemoryFormat = _option(
        "auto", "channels_last, contiguous, or auto for the one that timed steps show to be faster."
    )
    compile: Compile = _option(
        "auto",
        "none, default (torch.compile), reduce-overhead (with CUDA graphs); auto compiles where that pays in the end.",
    )
    tune: bool = _option(
        True,
        "Choose what is auto by timing a few steps; if not, float32, channels last, all threads and no compiling.",
    )
    seed: int = _option(0, "Decides initial weights, order, augmentation and dropout.")
    device: str = _option("auto", "auto, cpu, cuda or cuda:1.")
    threads: int | None = _option(
        None, "Threads that compute; if not given, one, half or all, whichever a few timed steps show to be fastest."
    )
    workers: int | None = _option(None, "Threads that decode images; from the processors if not given.")
    cache: Cache = _option(
        "auto", "Where decoded images are kept: auto (of files on disk, plain pixels in memory), memory, disk, or none."
    )
    max_bad: float = _option(0.05, "Largest share of unreadable files with which training still starts.")
    exclude: str | None = _option(None, "File that lists images to leave out, as convlens check --write-list makes it.")
    columns: str | None = _option(
        None, "Of a table: its columns of paths, labels and, if there is one, splits, such as image_id,label."
    )
    log: Log = _option("none", "Track the run in tensorboard or mlflow, too.")
    name: str | None = _option(None, "Name of the run folder; that of the data if not given.")
    runs: str = _option("runs/train", "Folder that the run folder is made in.")
    checkpoint_seconds: float = _option(60.0, "Write a checkpoint at least this often, besides one an epoch.")
    checkpoint_steps: int = _option(0, "Write a checkpoint every so many steps, too; 0 for none.")

    def __post_init__(self) -> None:
        for entry in fields(self):
            object.__setattr__(self, entry.name, _checked(entry, getattr(self, entry.name)))
        check_ranges(self, _RANGES)
        if self.name is not None and ("/" in self.name or "\\" in self.name or self.name in (".", "..")):
            raise ConvlensError(
                f"name is {self.name!r}; use the name of one folder, and --runs for the folder above it"
            )
        if self.epochs == 0 and not self.probe:
            raise ConvlensError("epochs is 0; use at least 1, or --recipe probe")
        if self.probe and not self.weights:
            raise ConvlensError("a probe needs weights whose features it can use; give them with --weights")
        if self.accumulate > self.batch:
            raise ConvlensError(
                f"accumulate is {self.accumulate} for a batch of {self.batch}; use at most {self.batch}"
            )

    @property
    def learning_rate(self) -> float:
        """The largest learning rate: the one given, or the optimiser's usual one."""
        return {"adamw": 1e-3, "lamb": 5e-3, "sgd": 0.05}[self.optimizer] if self.lr is None else self.lr

    @property
    def decay(self) -> float:
        """The weight decay: the one given, or the optimiser's usual one."""
        return (
            {"adamw": 0.05, "lamb": 0.05, "sgd": 5e-4}[self.optimizer]
            if self.weight_decay is None
            else self.weight_decay
        )

    def to_dict(self) -> dict[str, Any]:
        """Give the configuration as plain values for YAML."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainConfig":
        """Make a configuration from YAML keys or arguments; what is missing keeps its default.

        Raises:
            ConvlensError: an unknown key, answered with the nearest ones, or a value that cannot be.
        """
        known = {entry.name for entry in fields(cls)}
        for key in values:
            if key not in known:
                raise unknown_name("training setting", str(key), sorted(known))
        if values.get("data") in (None, ""):
            raise ConvlensError("no data to train on; give a folder of images, or digits")
        return cls(**dict(values))


_RANGES: dict[str, Range] = {
    "size": Range(1, 65_536, "in pixels"),
    "channels": Range(1, 3, "3 for RGB or 1 for gray"),
    "dropout": Range(0, 0.99),
    "epochs": Range(0),
    "batch": Range(1),
    "lr": Range(1e-12, 1e6, "such as 0.001"),
    "weight_decay": Range(0),
    "warmup": Range(0, 1),
    "label_smoothing": Range(0, 0.99),
    "clip_norm": Range(0),
    "jitter": Range(0, 1),
    "mixup": Range(0, 100, "such as 0.2"),
    "cutmix": Range(0, 100, "such as 1.0"),
    "erasing": Range(0, 1),
    "repeats": Range(1, 100),
    "ema": Range(0, 0.999999, "such as 0.999"),
    "accumulate": Range(1, 65_536),
    "freeze_epochs": Range(0),
    "layer_decay": Range(0.01, 1, "such as 0.75"),
    "teacher_share": Range(0, 1),
    "temperature": Range(0.1, 100, "such as 2"),
    "patience": Range(0),
    "seed": Range(0, 2**63 - 1),
    "threads": Range(1, 4096),
    "workers": Range(0, 1024),
    "max_bad": Range(0, 1),
    "checkpoint_seconds": Range(0),
    "checkpoint_steps": Range(0),
}


def field_types() -> dict[str, Any]:
    """The type of every field of `TrainConfig`, for the command line."""
    return get_type_hints(TrainConfig)


def default_of(entry: "Field[Any]") -> Any:
    """A field's default, or None where it must be given."""
    return None if entry.default is MISSING else entry.default


def _checked(entry: "Field[Any]", value: Any) -> Any:
    """The value in the field's type; YAML and JSON know no tuples, and a size may be one number."""
    if entry.name == "size" and value is not None:
        return _size(value)
    kinds = [kind for kind in (get_args(entry.type) or (entry.type,)) if get_origin(kind) is not tuple]
    if get_origin(entry.type) is Literal:
        if value not in kinds:
            raise unknown_name(entry.name, str(value), [str(kind) for kind in kinds])
        return value
    if value is None and type(None) in kinds:
        return None
    if isinstance(value, bool) and bool not in kinds:
        raise ConvlensError(f"{entry.name} is {value!r}; use {_kind_name(kinds)}")
    if float in kinds and isinstance(value, int):
        return float(value)
    if not isinstance(value, tuple(kinds)):
        raise ConvlensError(f"{entry.name} is {value!r}; use {_kind_name(kinds)}")
    return value


def _size(value: Any) -> tuple[int, int]:
    if isinstance(value, str):
        return image_size(value)
    sides = (value, value) if isinstance(value, int) else tuple(value) if isinstance(value, (list, tuple)) else ()
    if len(sides) != 2 or not all(isinstance(side, int) and not isinstance(side, bool) for side in sides):
        raise ConvlensError(f"size is {value!r}; use 224, or 192,256 for height and width")
    return (sides[0], sides[1])


def _kind_name(kinds: list[Any]) -> str:
    words = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    return " or ".join(words[kind] for kind in kinds if kind in words)
