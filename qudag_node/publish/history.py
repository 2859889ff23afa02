"""The answer to a ``history`` call."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qudag_node.history import HistorySlice
from qudag_node.wire.columns import pack_column

__all__ = ["HISTORY_SCHEMA", "to_history"]

HISTORY_SCHEMA = "qudag.history/1"
"""What the document calls itself."""


def to_history(points: HistorySlice | None = None, names: Sequence[str] = ()) -> dict[str, object]:
    """Return the points as columns of f4, NaN where nothing is known; or the names of all series."""
    document: dict[str, object] = {"schema": HISTORY_SCHEMA, "names": list(names), "series": {}}
    if points is None:
        return document
    return document | {
        "from_unix_s": points.from_unix_s,
        "step_s": points.step_s,
        "series": {
            name: pack_column("f4", values.astype(np.dtype("<f4"), copy=False).tobytes())
            for name, values in points.series.items()
        },
    }
