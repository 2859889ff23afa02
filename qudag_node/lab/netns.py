"""The engine ``netns``: a network namespace for each node, and a pair of TUN devices for each link.

    namespace of peer1                this process               namespace of peer2
    lo 198.18.0.1/32                                             lo 198.18.0.2/32
    route 198.18.0.2 dev to-peer2 ──> read ─ LinkDirection ─ write ──> to-peer1

Only configured links exist: a node has no other device, no default route, and so no way to anything else.
The kernel sees real packets on a real path, so TCP_INFO and kernel time stamps tell the truth.
198.18.0.0/15 is reserved for such test networks (RFC 2544). IPv4 only.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

from qudag_node.lab.errors import EngineUnavailableError
from qudag_node.lab.forwarding import Forwarder
from qudag_node.lab.linux import (
    CLONE_NEWNET,
    become_root_of_a_user_namespace,
    have_namespaces,
    open_tun,
    unshare,
)
from qudag_node.lab.rtnetlink import Rtnetlink
from qudag_node.lab.shaping import LinkDirection
from qudag_node.lab.topology import Direction, Link, NodeName, number_of

__all__ = ["MTU", "PORT", "Namespaces", "TunOutlet", "address_of", "build", "device_name", "forward"]

#: Ethernet's: nodes meet the packet sizes that they meet outside.
MTU = 1500
#: The port every node listens on; each has an address of its own.
PORT = 4001
#: What a device holds for us when we are late; far more than any queue of a link, so that packets are
#: dropped by the model, where they are counted.
_DEVICE_QUEUE_PACKETS = 20_000
#: Packets read from one device before the others, and what is due, get their turn.
_READ_BATCH = 32
_IP_VERSION_4 = 4
#: Of the IPv4 header, RFC 791.
_PROTOCOL_OFFSET = 9


@dataclass(slots=True)
class Namespaces:
    """What was built: descriptors of the namespaces, of the devices, and sockets to configure them.

    Attributes:
        user_fd: The user namespace that owns the others, None where we are privileged.
        tun_by_end: The device that carries what ``source`` sends to ``target``.
    """

    user_fd: int | None = None
    net_fd_by_node: dict[NodeName, int] = field(default_factory=dict)
    tun_by_end: dict[Direction, int] = field(default_factory=dict)
    configure_by_node: dict[NodeName, Rtnetlink] = field(default_factory=dict)
    index_by_end: dict[Direction, int] = field(default_factory=dict)

    def dropped_before(self, end: Direction) -> int:
        """Packets of a direction that the kernel dropped before this process could read them."""
        return self.configure_by_node[end.source].dropped_packets(self.index_by_end[end])


def address_of(node: NodeName) -> str:
    """The node's address inside the lab."""
    return f"198.18.0.{number_of(node)}"


def device_name(target: NodeName) -> str:
    """The device towards a neighbour, as ``ip link`` inside the namespace shows it."""
    return f"to-{target}"


def build(nodes: Sequence[NodeName], links: Iterable[Link]) -> Namespaces:
    """Make the namespaces and devices. The calling process leaves its own network namespace for good.

    Raises:
        EngineUnavailableError: Not permitted here; the text says which step and why.
    """
    if not have_namespaces():
        raise EngineUnavailableError("engine netns: this system has no network namespaces")
    built = Namespaces()
    step = "a network namespace"
    try:
        built.user_fd = _enter_first_namespace()
        for node in nodes:
            unshare(CLONE_NEWNET)
            built.net_fd_by_node[node] = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            step = "a TUN device (/dev/net/tun)"
            _fill(built, node, [d for link in links for d in link.directions if d.source == node])
            step = "a network namespace"
        # The links' own namespace: empty, so that nothing of the last node is reachable from here.
        unshare(CLONE_NEWNET)
    except OSError as error:
        raise EngineUnavailableError(f"engine netns: cannot make {step}: {error}") from error
    return built


def _enter_first_namespace() -> int | None:
    """Get the right to make network namespaces: as we are, or through a user namespace."""
    try:
        unshare(CLONE_NEWNET)
    except PermissionError:
        become_root_of_a_user_namespace()
        return os.open("/proc/self/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    return None


def _fill(built: Namespaces, node: NodeName, ends: Iterable[Direction]) -> None:
    """Configure the namespace that this process is in as the node's."""
    netlink = Rtnetlink()
    built.configure_by_node[node] = netlink
    loopback = socket.if_nametoindex("lo")
    netlink.up(loopback)
    netlink.add_address(loopback, address_of(node))
    for end in ends:
        name = device_name(end.target)
        built.tun_by_end[end] = open_tun(name)
        index = built.index_by_end[end] = socket.if_nametoindex(name)
        netlink.up(index, mtu=MTU, queue_packets=_DEVICE_QUEUE_PACKETS)
        netlink.add_route(index, address_of(end.target), source=address_of(node))


class TunOutlet:
    """Takes what one end of a link sends, and hands it to the other end when the model says so."""

    def __init__(
        self, forwarder: Forwarder, model: LinkDirection, *, inward_fd: int, outward_fd: int
    ) -> None:
        self._forwarder = forwarder
        self._model = model
        self._inward_fd = inward_fd
        self._outward_fd = outward_fd
        forwarder.watch(inward_fd, self._read)

    def _read(self) -> None:
        for _ in range(_READ_BATCH):
            try:
                packet = os.read(self._inward_fd, MTU)
            except BlockingIOError:
                return
            # The kernel's own IPv6 chatter on a new device is not the nodes'.
            if packet[0] >> 4 != _IP_VERSION_4:
                continue
            now_s = monotonic()
            due_s = self._model.offer(
                now_s, len(packet), is_udp=packet[_PROTOCOL_OFFSET] == socket.IPPROTO_UDP
            )
            if due_s is None:
                continue
            if due_s <= now_s:
                self.deliver(now_s, due_s, packet)
            else:
                self._forwarder.schedule(due_s, self, packet)

    def deliver(self, now_s: float, due_s: float, packet: bytes) -> None:
        """Write the packet to the far end's device."""
        del now_s  # the write itself may take long
        is_udp = packet[_PROTOCOL_OFFSET] == socket.IPPROTO_UDP
        try:
            os.write(self._outward_fd, packet)
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.ENOBUFS, errno.EIO, errno.ENOMEM}:
                raise
            self._model.refused(len(packet), is_udp=is_udp)
            return
        self._model.deliver(monotonic(), due_s, len(packet), is_udp=is_udp)


def forward(
    built: Namespaces, forwarder: Forwarder, model_by_direction: Mapping[Direction, LinkDirection]
) -> None:
    """Connect the devices in pairs."""
    for direction, model in model_by_direction.items():
        back = Direction(direction.target, direction.source)
        TunOutlet(
            forwarder,
            model,
            inward_fd=built.tun_by_end[direction],
            outward_fd=built.tun_by_end[back],
        )
