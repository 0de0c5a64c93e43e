"""Memory for batches that is used again, since fresh pages from the operating system cost more than the arithmetic."""

import math
import sys

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

_MOST = 6  # arrays that are kept for use again
_FREE = 3  # references to an array that nobody uses: the list's, the loop's and getrefcount's own


class Buffers:
    """Hands out tensors, and takes their memory again only when no tensor looks into it any more.

    A tensor made from an array holds a reference to it for as long as any view of it lives, so that the array's
    reference count says whether it is free; nobody has to give anything back.

    >>> buffers = Buffers()
    >>> first = buffers.take((2, 3), np.uint8)
    >>> second = buffers.take((2, 3), np.uint8)
    >>> first.data_ptr() == second.data_ptr()
    False
    >>> place = first.data_ptr()
    >>> del first
    >>> buffers.take((3, 2), np.uint8).data_ptr() == place
    True
    """

    def __init__(self) -> None:
        self._arrays: list[NDArray[np.uint8]] = []

    def take(self, shape: tuple[int, ...], dtype: DTypeLike) -> Tensor:
        """A tensor with any content."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        for array in self._arrays:
            if len(array) == size and sys.getrefcount(array) <= _FREE:
                return torch.from_numpy(array.view(dtype).reshape(shape))
        array = np.empty(size, np.uint8)
        if len(self._arrays) < _MOST:
            self._arrays.append(array)
        return torch.from_numpy(array.view(dtype).reshape(shape))
