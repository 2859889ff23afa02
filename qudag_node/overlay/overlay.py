"""The network as the rest of the node sees it: start, stop, peers, links, messages, the map.

Everything that runs is a named task in one group; ``wait`` ends when one of them fails, with its error.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from qudag_node.config import OverlayConfig
from qudag_node.errors import PeerError, PeerTimeoutError, PeerUnreachableError, PortInUseError
from qudag_node.host import tcp_info
from qudag_node.metrics import MetricsCollector
