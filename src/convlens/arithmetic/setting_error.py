"""The error of a layer whose settings do not fit together."""

from convlens.errors import ConvlensError


class ArithmeticSettingError(ConvlensError):
    """Shapes or settings with which a layer cannot be computed."""
