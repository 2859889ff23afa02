"""The past of every series of the statistics, in rings of bounded size. Pure: time is an argument."""

from qudag_node.history.history import History, HistorySlice
from qudag_node.history.peers import PEER_SERIES

__all__ = ["PEER_SERIES", "History", "HistorySlice"]
