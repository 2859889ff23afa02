"""Arrays with one row per peer slot: they grow together, and a row is cleared when its slot changes hands."""

from __future__ import annotations

from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["SlotStore", "grown"]

Scalar = TypeVar("Scalar", bound=np.generic)


class SlotStore(Protocol):
    """Keeps something for every slot."""

    @property
    def nbytes(self) -> int:
        """Memory held."""
        ...

    def grow(self, capacity: int) -> None:
        """Make room for slots 0 to ``capacity`` - 1, keeping what is there."""
        ...

    def clear(self, slot: int) -> None:
        """Make the slot as new."""
        ...


def grown(array: npt.NDArray[Scalar], capacity: int, fill: float = 0) -> npt.NDArray[Scalar]:
    """Return a copy with ``capacity`` rows; the new ones hold ``fill``."""
    larger = np.full((capacity, *array.shape[1:]), fill, array.dtype)
    larger[: len(array)] = array
    return larger
