"""What a layer computes: convolution, correlation, pooling, padding, geometry. NumPy, to be read."""

from convlens.arithmetic import animation, geometry, grids, kernels, routes
from convlens.arithmetic.convolution import conv2d
from convlens.arithmetic.lagging import Lag, Slide, lags
from convlens.arithmetic.padding import pad
from convlens.arithmetic.pooling import avg_pool2d, max_pool2d
from convlens.arithmetic.setting_error import ArithmeticSettingError
from convlens.arithmetic.signals import autocorrelate, convolve, correlate
from convlens.arithmetic.stepping import pool_steps, steps, transposed_steps
from convlens.arithmetic.transposed import conv_transpose2d
from convlens.arithmetic.walk import Step, Walk

__all__ = [
    "ArithmeticSettingError",
    "Lag",
    "Slide",
    "Step",
    "Walk",
    "animation",
    "autocorrelate",
    "avg_pool2d",
    "conv2d",
    "conv_transpose2d",
    "convolve",
    "correlate",
    "geometry",
    "grids",
    "kernels",
    "lags",
    "max_pool2d",
    "pad",
    "pool_steps",
    "routes",
    "steps",
    "transposed_steps",
]
