"""A walk as a moving picture: the kernel slides, the sum is written out, the output fills."""

from convlens.arithmetic.animation.animation_files import FORMATS, save_animation
from convlens.arithmetic.animation.scene import MOST_FRAMES, Scene, scene

__all__ = ["FORMATS", "MOST_FRAMES", "Scene", "save_animation", "scene"]
