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
Schedule = Literal["gpipe", "1f1b"]
Log = Literal["none", "tensorboard", "mlflow"]
Augment = Literal["auto", "none"]
Cache = Literal["auto", "memory", "disk", "none"]
Monitor = Literal["top1", "macro_f1", "log_loss"]

USUAL_BATCH = 32


def _option(default: Any, text: str) -> Any:
    """A field with its default and the sentence that the command line shows for it."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that decides what a training does; checked when it is made.

    Raises:
        ConvlensError: naming the field, its value and what it may be.
    """

    data: str = field(
        metadata={
            "help": "Images to train on: a folder with one folder per class, a table, shards, an address, or digits."
        }
    )
    network: str = _option("resnet18", "Network to train, by name; convlens networks lists them.")
    recipe: str = _option(
        "auto",
        "Recipe: auto, scratch, probe, finetune, strong, or a YAML file; auto fine-tunes if weights are here.",
    )
    weights: str | None = _option(None, "Weights to start from: a published name, a file, or a run folder.")
    size: tuple[int, int] | None = _option(
        None, "Input size in pixels: 224, or 192,256 for height and width. Default: chosen from the images."
    )
    channels: int | None = _option(None, "Number of channels: 3 for RGB, 1 for gray. Default: chosen from the images.")
    dropout: float | None = _option(None, "Dropout rate before the last layer, from 0 to 0.99. Default: the paper's.")
    epochs: int = _option(30, "Number of passes over the training images; 0 with --probe trains the last layer only.")
    batch: int | None = _option(
        None,
        "Number of images per step. Default: 32; up to 128 if there are many images and the network has batch norms.",
    )
    optimizer: Optimizer = _option(
        "adamw", "Optimiser: sgd (Nesterov momentum 0.9), adamw, or lamb (for large batches)."
    )
    lr: float | None = _option(
        None,
        "Peak learning rate. Default: that of the recipe, which grows with the batch that is chosen; otherwise 0.001 "
        "for adamw, 0.005 for lamb, 0.05 for sgd.",
    )
    weight_decay: float | None = _option(
        None, "Weight decay, not applied to norms and biases. Default: 0.0005 for sgd, otherwise 0.05."
    )
    warmup: float = _option(
        0.05, "Share of all steps during which the learning rate rises; after that it falls as a cosine."
    )
    label_smoothing: float = _option(0.1, "Share of the target spread over all classes.")
    clip_norm: float = _option(2.0, "Largest norm of the gradient; 0 for no limit.")
    augment: Augment = _option(
        "auto", "Augmentation: auto (shifts or crops, and flips if mirror images keep their class) or none."
    )
    mirrors: bool | None = _option(
        None,
        "Whether mirror images keep their class. If not, as for letters and signs, images are not flipped, nor turned"
        " by more than 30 degrees. Default: no for digits and IDX files, otherwise yes.",
    )
    policy: Policy = _option("none", "Random operations: none, trivial (TrivialAugment) or rand (RandAugment).")
    jitter: float = _option(0.0, "Largest relative change of brightness, contrast and saturation, from 0 to 1.")
    mixup: float = _option(0.0, "Mixup parameter (blends two images); 0 for none.")
    cutmix: float = _option(0.0, "Cutmix parameter (puts a patch of one image into another); 0 for none.")
    erasing: float = _option(0.0, "Share of images in which a random rectangle is blanked.")
    mixing_from: float = _option(
        0.0,
        "Number of parameters per image from which a network takes policy, mixup, cutmix and repeats; a smaller one "
        "does not learn its images by heart, and these would only keep it from learning them.",
    )
    repeats: int = _option(1, "Number of times each image appears in an epoch, augmented anew each time.")
    balance: Balance = _option(
        "none", "Class balance: sampling (all classes equally often), loss (all classes weighted equally) or none."
    )
    ema: float = _option(
        0.0,
        "Decay of an average of the weights, such as 0.999; the average is kept instead of the weights. 0 for none.",
    )
    accumulate: int = _option(1, "Number of parts each batch is split into, to save memory.")
    recompute: bool = _option(False, "Recompute activations in the backward pass, to save memory.")
    probe: bool = _option(False, "Fit the last layer first, by logistic regression on the network's features.")
    freeze_epochs: int = _option(0, "Number of epochs in which only the last layer is trained.")
    layer_decay: float = _option(
        1.0,
        "Learning rate of each stage relative to the stage after it; a stage below a tenth of the last does not learn.",
    )
    teacher: str | None = _option(None, "Run folder of a teacher network (distillation).")
    teacher_share: float = _option(0.5, "Share of the loss that compares with the teacher.")
    temperature: float = _option(2.0, "Temperature of the comparison with the teacher.")
    monitor: Monitor = _option(
        "top1", "Metric on the validation images that decides which epoch is kept: top1, macro_f1 or log_loss."
    )
    patience: int = _option(0, "Number of epochs without improvement before training stops; 0 for no limit.")
    precision: Precision = _option(
        "auto", "Precision: float32, bfloat16, float16 (CUDA only), or auto for the fastest in a short timing."
    )
    memory_format: MemoryFormat = _option(
        "auto", "Memory layout: channels_last, contiguous, or auto for the faster one in a short timing."
    )
    compile: Compile = _option(
        "auto",
        "Compilation: none, default (torch.compile), reduce-overhead (with CUDA graphs), or auto to compile if it "
        "saves time overall.",
    )
    tune: bool = _option(
        True, "Time a few steps to choose what is auto. Otherwise: float32, channels last, all threads, no compilation."
    )
    seed: int = _option(0, "Random seed of initial weights, order, augmentation and dropout.")
    device: str = _option("auto", "Device to train on: auto, cpu, cuda or cuda:1.")
    threads: int | None = _option(
        None,
        "Number of threads that compute. Default: one, half or all of the processors, whichever a short timing shows "
        "to be fastest.",
    )
    workers: int | None = _option(
        None, "Number of threads that decode images. Default: chosen from the number of processors."
    )
    cache: Cache = _option(
        "auto",
        "Where decoded images are kept: memory, disk, none, or auto (disk for image files, memory for plain pixels).",
    )
    max_bad: float = _option(
        0.05, "Largest share of unreadable files, from 0 to 1; with more, training does not start."
    )
    exclude: str | None = _option(
        None, "Text file listing images to leave out, as written by convlens check --write-list."
    )
    columns: str | None = _option(
        None,
        "Column names of a table, separated by commas: paths, labels and, optionally, splits. Example: image_id,label.",
    )
    sync_batch_norm: bool = _option(
        False, "With several processes: batch norms take mean and variance from the batch of all."
    )
    shard: bool = _option(
        False, "With several processes: each keeps a part of weights, gradients and moments (FSDP2), to save memory."
    )
    pipeline: int = _option(1, "Number of stages that the network is cut into, one per process (GPipe).")
    microbatches: int | None = _option(
        None, "Number of micro-batches that a batch is divided into in a pipeline. Default: 4 per stage."
    )
    schedule: Schedule = _option("gpipe", "Order of a pipeline: gpipe, or 1f1b, which holds fewer activations.")
    log: Log = _option("none", "Additional tracking: none, tensorboard or mlflow.")
    name: str | None = _option(None, "Name of the run folder. Default: the name of the data.")
    runs: str = _option("runs/train", "Folder for run folders, or an address such as s3://bucket/runs.")
    checkpoint_seconds: float = _option(60.0, "Longest time between checkpoints, in seconds, besides one per epoch.")
    checkpoint_steps: int = _option(0, "Number of steps between additional checkpoints; 0 for none.")

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
        images = self.images_per_step
        if self.accumulate > images:
            raise ConvlensError(f"accumulate is {self.accumulate} for a batch of {images}; use at most {images}")

    @property
    def images_per_step(self) -> int:
        """The batch: the one given, or the usual one, which the data and the network may change."""
        return USUAL_BATCH if self.batch is None else self.batch

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
    "mixing_from": Range(0),
    "repeats": Range(1, 100),
    "ema": Range(0, 0.999999, "such as 0.999"),
    "accumulate": Range(1, 65_536),
    "freeze_epochs": Range(0),
    "layer_decay": Range(0.01, 1, "such as 0.75"),
    "teacher_share": Range(0, 1),
    "temperature": Range(0.1, 100, "such as 2"),
    "patience": Range(0),
    "pipeline": Range(1, 1024),
    "microbatches": Range(1, 65_536),
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
