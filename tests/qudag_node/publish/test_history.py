"""The answer to a history call."""

import numpy as np

from qudag_node.history import History
from qudag_node.publish import to_history
from qudag_node.wire import unpack_column
from tests.qudag_node.examples import EVERYTHING_KNOWN, NOW_UNIX_S


def test_points_travel_as_columns() -> None:
    history = History()
    history.append(EVERYTHING_KNOWN)
    document = to_history(history.read(["messages.sent"], NOW_UNIX_S - 1))
    series = document.pop("series")
    assert isinstance(series, dict)
    assert document == {
        "schema": "qudag.history/1",
        "names": [],
        "from_unix_s": NOW_UNIX_S - 1,
        "step_s": 1.0,
    }
    assert np.array_equal(unpack_column(series["messages.sent"]), [np.nan, 10], equal_nan=True)


def test_names_travel_alone() -> None:
    assert to_history(names=["a", "b"]) == {"schema": "qudag.history/1", "names": ["a", "b"], "series": {}}
