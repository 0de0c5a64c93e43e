"""In which numbers a sum is computed, and which come out."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from convlens.arithmetic.setting_error import ArithmeticSettingError


def sum_dtypes(*arrays: NDArray[Any], dtype: DTypeLike | None = None) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Numbers to add up in, and numbers to give back.

    Integers and truth values are added in int64, so that a sum of uint8 pixels is exact and never wraps; half precision
    is added in single precision and rounded once at the end; everything else is added in what NumPy promotes it to.

    >>> sum_dtypes(np.zeros(2, np.uint8), np.zeros(2, np.int8))
    (dtype('int64'), dtype('int64'))
    >>> sum_dtypes(np.zeros(2, np.float16))
    (dtype('float32'), dtype('float16'))
    """
    kinds = {array.dtype.kind for array in arrays}
    if not kinds <= set("biufc"):
        found = ", ".join(str(array.dtype) for array in arrays if array.dtype.kind not in "biufc")
        raise ArithmeticSettingError(f"the numbers are of dtype {found}; use integers, floats or complex numbers")
    if dtype is not None:
        given = np.dtype(dtype)
    else:
        given = np.dtype(np.int64) if kinds <= set("biu") else np.result_type(*arrays)
    return (np.dtype(np.float32) if given == np.float16 else given), given
