"""What training does to images so that the network learns the class and not the photograph."""

from dataclasses import dataclass
from typing import Literal

from convlens.data.dataset import Dataset
from convlens.errors import ConvlensError, unknown_name
from convlens.ranges import Range, check_ranges

SMALL_IMAGE = 64  # up to this side an image is shifted; above it, crops of random size are taken
POLICIES = ("trivial", "rand")
_RANGES = {
    "shift": Range(0, 0.99),
    "rand_operations": Range(0, 10),
    "rand_magnitude": Range(0, 30),
    **dict.fromkeys(("brightness", "contrast", "saturation", "erasing"), Range(0, 1)),
    "hue": Range(0, 0.5),
    **dict.fromkeys(("mixup", "cutmix"), Range(0, 100)),
}


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes that leave the class as it is, in the order in which they are made.

    Args:
        crop_scale: smallest and largest share of the area that a random crop keeps before it is resized to the
            network's size (Szegedy et al. 2014, section 6); None takes no such crops.
        crop_ratio: smallest and largest aspect ratio (width / height) of that crop.
        shift: largest shift, as a share of the side, in each direction; what comes in is black.
        flip: whether half of the images are mirrored left to right.
        policy: `"trivial"` makes one random operation of random strength (TrivialAugment; Müller and Hutter 2021),
            `"rand"` makes `rand_operations` of strength `rand_magnitude` (RandAugment; Cubuk et al. 2020).
        rand_operations: how many operations RandAugment makes.
        rand_magnitude: their strength, 0..30.
        upright: whether classes differ in which way is up, as a 6 and a 9 do; TrivialAugment then turns an image by 30°
            at most, as RandAugment does, and not by 135°.
        brightness: largest relative change of brightness, 0..1.
        contrast: the same of contrast.
        saturation: the same of saturation.
        hue: largest turn of the hues, in turns, 0..0.5.
        erasing: share of the images in which a rectangle is blanked (Zhong et al. 2017).
        mixup: parameter of the beta distribution by which two images are blended (Zhang et al. 2018); 0 blends none.
        cutmix: the same, for a rectangle of one image in the other (Yun et al. 2019); with both, a batch draws which.

    Raises:
        ConvlensError: a value out of its range.
    """

    crop_scale: tuple[float, float] | None = None
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    shift: float = 0.0
    flip: bool = False
    policy: Literal["trivial", "rand"] | None = None
    rand_operations: int = 2
    rand_magnitude: int = 9
    upright: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        for name, pair in (("crop_scale", self.crop_scale or (1.0, 1.0)), ("crop_ratio", self.crop_ratio)):
            if len(pair) != 2 or not 0 < pair[0] <= pair[1]:
                raise ConvlensError(f"augmentation: {name} is {pair}; use two numbers above 0, the smaller one first")
        if self.crop_scale and self.crop_scale[1] > 1:
            raise ConvlensError(f"augmentation: crop_scale is {self.crop_scale}; a crop keeps at most 1.0 of the area")
        if self.policy is not None and self.policy not in POLICIES:
            raise unknown_name("augmentation policy", self.policy, POLICIES)
        check_ranges(self, _RANGES, of="augmentation")

    @classmethod
    def usual_for(cls, dataset: Dataset, size: tuple[int, int]) -> "Augmentation":
        """Shifts for small images, random resized crops for larger ones; flips unless a mirror changes the class."""
        if max(size) <= SMALL_IMAGE:
            return cls(shift=1 / 8, flip=dataset.mirrors)
        return cls(flip=dataset.mirrors, crop_scale=(0.25, 1.0))

    @property
    def recolours(self) -> bool:
        """Whether pixels change their values and not only their places."""
        return self.policy is not None or any((self.brightness, self.contrast, self.saturation, self.hue))

    @property
    def mixes(self) -> bool:
        """Whether batches carry soft labels, since images of two classes are mixed."""
        return self.mixup > 0 or self.cutmix > 0
