"""Whom a test is of: what an operator may name, and of whom a test cannot be made at all."""

from __future__ import annotations

import socket

from qudag_node.errors import ConfigError
from qudag_node.nettests.bulk.sockets import use_congestion_control
from qudag_node.nettests.requests import (
    BandwidthOptions,
    ConnectivityOptions,
    Options,
    PingOptions,
    TestType,
)
from qudag_node.nettests.results import Target
from qudag_node.nettests.worker.jobs import JobError
from qudag_node.overlay.testport import TestPort
from qudag_node.peerid import PeerId

__all__ = ["hopeless", "refusal_of", "target_now", "target_of"]

#: Tests without a target, or whose target may be absent or unreachable.
_WITHOUT_TARGET = frozenset({TestType.ROUTING, TestType.CONNECTIVITY})


def target_of(port: TestPort, test_type: TestType, text: str | None, options: Options) -> Target | None:
    """Return who is meant; None for a test that needs nobody.

    Raises:
        ConfigError: The test needs a peer, or this node itself is meant.
        NotFoundError, AmbiguousError: The text fits no peer, or several.
    """
    if not text:
        needs_peer = test_type not in _WITHOUT_TARGET or (
            isinstance(options, ConnectivityOptions) and not (options.outside or options.address)
        )
        if needs_peer:
            raise ConfigError(test_type.value, "which peer? `qudag peer list` shows them")
        return None
    peer = port.resolve(text)
    if peer == port.own_id:
        raise ConfigError(test_type.value, f"{text[:64]} is this node itself; name a peer")
    return target_now(port, peer)


def target_now(port: TestPort, peer: PeerId) -> Target:
    """Return a target as it is known now."""
    facts = port.facts(peer)
    return Target(id=facts.id, name=facts.name, hops=facts.hops or None)


def refusal_of(port: TestPort, test_type: TestType, peer: PeerId, options: Options) -> str | None:
    """Tell in one line why a test would fail at once; None where nothing is known against it."""
    return hopeless(port, test_type, peer) or _not_linked(port, test_type, peer, options) or _unknown(options)


def hopeless(port: TestPort, test_type: TestType, peer: PeerId) -> str | None:
    """Tell in one line why a test cannot be made of a peer at all; None where it can."""
    facts = port.facts(peer)
    if facts.is_banned and test_type is not TestType.ROUTING:
        return f"{facts.name} is banned here; `qudag peer unban` ends that"
    if facts.hops == 0 and test_type not in _WITHOUT_TARGET:
        return f"{facts.name} cannot be reached: there is neither a link to it nor a way through others"
    return None


def _not_linked(port: TestPort, test_type: TestType, peer: PeerId, options: Options) -> str | None:
    facts = port.facts(peer)
    is_of_link = test_type in {TestType.BANDWIDTH, TestType.LATENCY} or (
        isinstance(options, PingOptions) and options.via in {"udp", "link"}
    )
    if facts.link is not None or not is_of_link:
        return None
    what = f"ping --via {options.via}" if isinstance(options, PingOptions) else test_type.value
    path = port.path(peer)
    nearer = f"; {port.facts(path[1]).name} is the neighbour on the way" if len(path) > 2 else ""
    return f"{facts.name} is no neighbour but {facts.hops} hops away: {what} measures a link{nearer}"


def _unknown(options: Options) -> str | None:
    """Ask the system for the algorithm itself: it may load one that it does not list."""
    match options:
        case BandwidthOptions(protocol="tcp", direction="forward" | "bidir", congestion_control=str(name)):
            try:
                with socket.socket() as sock:
                    use_congestion_control(sock, name)
            except JobError as exc:
                return str(exc)
        case _:
            pass
    return None
