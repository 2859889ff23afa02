"""The engine ``relay``: addresses between which this process forwards TCP bytes and UDP datagrams.

    peer1 on 127.77.0.1:P                    this process                     peer2 on 127.77.0.2:P
       dials 127.77.1.2:P  ──>  listens as "2 as 1 sees it"
                                from 127.77.2.1, "1 as 2 sees it"  ──>  127.77.0.2:P

A node only ever meets its neighbours at the addresses that this process holds, so what it sends there, over
TCP or UDP, passes the link's model. TCP bytes get delay, rate and outage (held back, not lost); datagrams
get everything. TCP ends here twice, so TCP_INFO is not of the path, and a connection is accepted before the
far end has answered. Where 127.77.0.0/16 is not local (macOS) all addresses are ports of 127.0.0.1.
"""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from qudag_node.lab.datagrams import DatagramLink
from qudag_node.lab.errors import EngineUnavailableError
from qudag_node.lab.forwarding import Forwarder
from qudag_node.lab.shaping import LinkDirection
from qudag_node.lab.streams import StreamLink
from qudag_node.lab.topology import Direction, Link, NodeName, number_of

__all__ = ["Address", "Relay", "bind_all"]

Address = tuple[str, int]

#: Below the range that Linux and macOS give to outgoing connections, above the well-known services.
_PORTS = range(20_000, 30_000)
_ATTEMPTS = 50
_BACKLOG = 64


@dataclass(slots=True)
class Relay:
    """The bound sockets, and where everyone is.

    Attributes:
        listen_by_node: Where a node must listen.
        seen_at: Where the source of a direction finds its target.
    """

    listen_by_node: dict[NodeName, Address] = field(default_factory=dict)
    seen_at: dict[Direction, Address] = field(default_factory=dict)
    listeners: dict[Direction, socket.socket] = field(default_factory=dict)
    datagrams: dict[Direction, socket.socket] = field(default_factory=dict)
    streams: list[StreamLink] = field(default_factory=list)

    def close(self) -> None:
        """Close every socket."""
        for bound in (*self.listeners.values(), *self.datagrams.values()):
            bound.close()

    def update(self) -> None:
        """A link changed: streams read on, or stop."""
        for stream in self.streams:
            stream.update()

    def forward(self, forwarder: Forwarder, model_by_direction: Mapping[Direction, LinkDirection]) -> None:
        """Start forwarding both directions of every link."""
        for direction, model in model_by_direction.items():
            back = Direction(direction.target, direction.source)
            target = self.listen_by_node[direction.target]
            stream = StreamLink(
                forwarder,
                self.listeners[direction],
                target=target,
                source_host=self.seen_at[back][0],
                there=model,
                back=model_by_direction[back],
            )
            self.streams.append(stream)
            DatagramLink(
                forwarder,
                entrance=self.datagrams[direction],
                exit_=self.datagrams[back],
                source=self.listen_by_node[direction.source],
                target=target,
                there=model,
                back=model_by_direction[back],
            )


def bind_all(nodes: Sequence[NodeName], links: Iterable[Link], *, host_is_local: bool | None = None) -> Relay:
    """Bind the addresses of all links.

    Args:
        host_is_local: Whether 127.77.0.0/16 is this host's, so that each node has an address of its own;
            found out, if None.

    Raises:
        EngineUnavailableError: No free port, or too few file descriptors.
    """
    directions = [direction for link in links for direction in link.directions]
    try:
        if not (_is_local("127.77.0.1") if host_is_local is None else host_is_local):
            return _bind_ports_of_one_host(nodes, directions)
        for _ in range(_ATTEMPTS):
            relay = _try_port(nodes, directions, random.choice(_PORTS))
            if relay is not None:
                return relay
    except OSError as error:
        raise EngineUnavailableError(f"engine relay: cannot bind its addresses: {error}") from error
    raise EngineUnavailableError(f"engine relay: no free port after {_ATTEMPTS} attempts")


def _is_local(host: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


def _try_port(nodes: Sequence[NodeName], directions: Iterable[Direction], port: int) -> Relay | None:
    """Bind everything to one port, or nothing when any address has it taken."""
    relay = Relay()
    relay.listen_by_node = {node: (f"127.77.0.{number_of(node)}", port) for node in nodes}
    try:
        for address in relay.listen_by_node.values():
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                _bound(kind, address).close()
        for direction in directions:
            host = f"127.77.{number_of(direction.source)}.{number_of(direction.target)}"
            _bind(relay, direction, (host, port))
    except OSError as error:
        relay.close()
        if error.errno in {errno.EADDRINUSE, errno.EACCES}:
            return None
        raise
    return relay


def _bind_ports_of_one_host(nodes: Iterable[NodeName], directions: Iterable[Direction]) -> Relay:
    relay = Relay()
    for node in nodes:
        with _bound(socket.SOCK_STREAM, ("127.0.0.1", 0)) as free:
            relay.listen_by_node[node] = free.getsockname()
    try:
        for direction in directions:
            _bind(relay, direction, ("127.0.0.1", 0))
    except OSError:
        relay.close()
        raise
    return relay


def _bind(relay: Relay, direction: Direction, address: Address) -> None:
    listener = relay.listeners[direction] = _bound(socket.SOCK_STREAM, address)
    listener.listen(_BACKLOG)
    address = relay.seen_at[direction] = listener.getsockname()
    relay.datagrams[direction] = _bound(socket.SOCK_DGRAM, address)


def _bound(kind: socket.SocketKind, address: Address) -> socket.socket:
    bound = socket.socket(socket.AF_INET, kind)
    try:
        if kind == socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound
