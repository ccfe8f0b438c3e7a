"""Vectors of a level, in memory or in a file that every process reads by its path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """An (n, d) float32 matrix. One in a file is pickled as its path, so that a process pool shares it for nothing.

    The file is what `ndarray.tofile` writes: rows of d little-endian float32, one after the other, no header.
    """

    shape: tuple[int, int]
    array: FloatArray | None = None
    path: Path | None = None

    @classmethod
    def of(cls, rows: NDArray[Any] | Sequence[Sequence[float]]) -> Matrix:
        """A matrix in memory. Raises ValueError unless `rows` has two axes."""
        array = np.ascontiguousarray(rows, dtype=np.float32)
        if array.ndim != 2:
            raise ValueError(f"a matrix has two axes, this array has {array.ndim}")
        return cls((array.shape[0], array.shape[1]), array=array)

    @classmethod
    def in_file(cls, path: Path, shape: tuple[int, int]) -> Matrix:
        """A matrix in the file at `path`, which has to stay there while the matrix is used.

        Raises ValueError when the file's size is not that of the shape.
        """
        size, expected = path.stat().st_size, shape[0] * shape[1] * 4
        if size != expected:
            raise ValueError(f"a file of {size} bytes is no float32 matrix of {shape[0]} x {shape[1]}")
        return cls(shape, path=path)

    def __len__(self) -> int:
        return self.shape[0]

    def rows(self, indices: IntArray) -> FloatArray:
        """Copies the rows at `indices`, in that order.

        A file is mapped for this call only: pages that stay mapped would count as this process's memory.
        """
        if self.array is not None:
            return self.array[indices]
        if self.path is None or not len(self):
            return np.empty((len(indices), self.shape[1]), np.float32)
        return np.array(np.memmap(self.path, dtype="<f4", mode="r", shape=self.shape)[indices])
