"""What a lab is asked to be. Checked when made; nothing is started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qudag_node.errors import ConfigError
from qudag_node.lab.impairment import CLEAN, Impairment, parse_order
from qudag_node.lab.links import ENGINES, Network
from qudag_node.lab.load import MAX_PAYLOAD_BYTES, MIN_PAYLOAD_BYTES
from qudag_node.lab.topology import Direction, links_of, node_names

__all__ = ["DEMO_IMPAIRMENTS", "LabOptions", "check_rate"]

#: One slow link and one bad link, both of the node that the monitor of the demonstration watches.
DEMO_IMPAIRMENTS = ("peer1-peer3:delay=80ms,jitter=8ms", "peer1-peer4:delay=15ms,jitter=3ms,loss=3%")

_MAX_RATE_PER_S = 100_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LabOptions:
    """A lab to be.

    Attributes:
        directory: None for a temporary one, which goes when the lab goes.
        engine: ``netns``, ``relay``, or ``auto``: the first where it runs, else the second.
        rate_per_s: Messages per second, of all nodes together.
        orders: Impairments from the start, as ``--impair`` takes them.
        node_arguments: For every node, beside the lab's own.
        parent_fd: The read end of a pipe; the lab ends when its last writer is gone.
        start_timeout_s: How long nodes may take to start and to get their links.
    """

    directory: Path | None
    nodes: int = 5
    topology: str = "ring"
    engine: str = "auto"
    rate_per_s: float = 0.0
    payload_bytes: int = 128
    orders: tuple[str, ...] = ()
    node_arguments: tuple[str, ...] = ()
    seed: int = 0
    parent_fd: int | None = None
    start_timeout_s: float = 60.0

    def __post_init__(self) -> None:
        if self.engine not in ("auto", *ENGINES):
            raise ConfigError("--engine", f"{self.engine!r} is not one of auto, {', '.join(ENGINES)}")
        check_rate(self.rate_per_s)
        if not MIN_PAYLOAD_BYTES <= self.payload_bytes <= MAX_PAYLOAD_BYTES:
            raise ConfigError(
                "--payload",
                f"{self.payload_bytes} is not from {MIN_PAYLOAD_BYTES} to {MAX_PAYLOAD_BYTES} bytes",
            )
        self.network()

    def network(self) -> Network:
        """The nodes, the links, and what is wrong with these from the start.

        Raises:
            ConfigError: An unknown topology or link, or a bad impairment.
        """
        links = links_of(self.topology, self.nodes, seed=self.seed)
        impairments: dict[Direction, Impairment] = {}
        for text in self.orders:
            order = parse_order(text, links)
            for direction in order.directions:
                impairments[direction] = order.apply(impairments.get(direction, CLEAN))
        return Network(nodes=node_names(self.nodes), links=links, impairments=impairments, seed=self.seed)


def check_rate(rate_per_s: float) -> None:
    """Refuse a rate that is none.

    Raises:
        ConfigError: It is not from 0 to 100,000.
    """
    if not 0 <= rate_per_s <= _MAX_RATE_PER_S:
        raise ConfigError(
            "--rate", f"{rate_per_s:g} is not from 0 to {_MAX_RATE_PER_S:g} messages per second"
        )
