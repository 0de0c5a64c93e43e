"""How an EfficientNet grows: depth, width and resolution by one coefficient (Tan and Le, 2019, section 3.3)."""

import math
from dataclasses import dataclass

from convlens.errors import ConvlensError

BASE_RESOLUTION = 224


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Factors on B0's depth and width, and the side of the images in pixels."""

    depth: float
    width: float
    resolution: int


def compound_scale(phi: float, *, alpha: float = 1.2, beta: float = 1.1, gamma: float = 1.15) -> Scale:
    """Scale B0 by the compound coefficient φ: depth α^φ, width β^φ, resolution 224·γ^φ (equation 3).

    With α·β²·γ² near 2, the paper's values, the cost doubles with every unit of φ.

    Raises:
        ConvlensError: α, β or γ is below one, which would shrink where φ is to grow.

    >>> compound_scale(1)
    Scale(depth=1.2, width=1.1, resolution=258)
    """
    for name, value in (("alpha", alpha), ("beta", beta), ("gamma", gamma)):
        if value < 1:
            raise ConvlensError(f"{name}={value!r} must be at least 1 (Tan and Le, 2019, equation 3)")
    return Scale(depth=alpha**phi, width=beta**phi, resolution=round(BASE_RESOLUTION * gamma**phi))


def round_width(channels: int, factor: float) -> int:
    """Return channels·factor as the nearest multiple of eight that is not more than 10 % below it."""
    wanted = channels * factor
    width = max(8, int(wanted + 4) // 8 * 8)
    return width + 8 if width < 0.9 * wanted else width


def round_depth(blocks: int, factor: float) -> int:
    """Return blocks·factor, rounded up."""
    return math.ceil(blocks * factor)
