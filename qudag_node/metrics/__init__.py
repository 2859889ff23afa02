"""The recorder, histograms, `MetricsCollector` and the tree of statistics. Pure: time is an argument."""

import os

# numpy's OpenBLAS starts a thread per core and keeps their buffers, and nothing here multiplies matrices.
# It is read once, when numpy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from qudag_node.metrics.collector import MetricsCollector
from qudag_node.metrics.histogram import Histogram
from qudag_node.metrics.labels import PeerLabels
from qudag_node.metrics.peers import PeerHandle
from qudag_node.metrics.statistics import NetworkStatistics

__all__ = ["Histogram", "MetricsCollector", "NetworkStatistics", "PeerHandle", "PeerLabels"]
