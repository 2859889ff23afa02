"""The process that is the links: it builds the network, forwards, and answers the supervisor.

``python -m qudag_node.lab.engine FD``, started by ``links.LinkProcess``. FD is a stream socket to the
supervisor; each message is one line of JSON:

    in   {"engine", "nodes", "links", "impairments": {"A>B": {…}}, "seed"}            once, first
    out  {"listen": {node: [host, port]}, "dial": {"A>B": [host, port]}, "namespaces": [node, …],
          "user_namespace": bool}  with the descriptors of the namespaces, the user's first;  or {"error"}
    in   {"op": "impair", "impairments": {"A>B": {…}}}      out  {}
    in   {"op": "truth"}                                    out  {"truth": {"A>B": {…}}, "real_time": bool}
    in   {"op": "end"}                                      this process ends at once

When the supervisor's end closes, however it came to that, this process ends, and with it the devices and
namespaces; half a second later, so that the nodes, which end for the same reason, can part in order.
"""

from __future__ import annotations

import gc
import json
import logging
import resource
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from qudag_node.lab import netns, relay
from qudag_node.lab.errors import EngineUnavailableError
from qudag_node.lab.forwarding import Forwarder
from qudag_node.lab.impairment import impairment_from_json
from qudag_node.lab.linux import set_name, set_timer_slack
from qudag_node.lab.shaping import LinkDirection
from qudag_node.lab.topology import Direction, Link, NodeName

__all__ = ["direction_of", "main"]

_log = logging.getLogger(__name__)

_LINGER_S = 0.5
_READ_BYTES = 1 << 16
#: A mesh of 200 nodes with everything impaired is 8 MB of orders; nobody else writes here.
_MAX_LINE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class _Built:
    """What the supervisor is told, and how to go on."""

    wiring: dict[str, Any]
    descriptors: list[int]
    start: Callable[[Forwarder, Mapping[Direction, LinkDirection]], None]
    update: Callable[[], None]
    dropped_before: Callable[[Direction], int]


def direction_of(text: str) -> Direction:
    """The reverse of ``str(direction)``."""
    source, _, target = text.partition(">")
    return Direction(NodeName(source), NodeName(target))


def main(arguments: list[str]) -> int:
    """Serve until the supervisor is gone."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    set_name("qudag-links")
    channel = socket.socket(fileno=int(arguments[0]))
    channel.setblocking(True)
    order = _first_line(channel)
    if order is None:
        return 0
    nodes = [NodeName(name) for name in order["nodes"]]
    links = [Link(NodeName(a), NodeName(b)) for a, b in order["links"]]
    # Before the devices: select() takes only descriptors below 1024, and this waits on the forwarder's.
    forwarder = Forwarder()
    try:
        built = _BUILDERS[order["engine"]](nodes, links)
    except EngineUnavailableError as error:
        channel.sendall(_line({"error": str(error)}))
        return 1
    # At most 253 descriptors go in one message; the limit on nodes keeps us below.
    socket.send_fds(channel, [_line(built.wiring)], built.descriptors)
    models = {
        direction: LinkDirection(seed=f"{order['seed']}/{direction}")
        for link in links
        for direction in link.directions
    }
    _Service(channel, built, forwarder, models, order["impairments"]).run()
    return 0


class _Service:
    """Forwards, and answers what the supervisor asks meanwhile."""

    def __init__(
        self,
        channel: socket.socket,
        built: _Built,
        forwarder: Forwarder,
        models: Mapping[Direction, LinkDirection],
        impairments: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self._channel = channel
        self._built = built
        self._models = models
        self._inbox = b""
        self._forwarder = forwarder
        self._impair(impairments)
        built.start(self._forwarder, models)
        self._forwarder.watch(channel, self._receive)

    def run(self) -> None:
        """Forward until the supervisor is gone."""
        set_timer_slack(1)
        # A collection of garbage would make packets late; the loop makes no cycles.
        gc.collect()
        gc.freeze()
        gc.disable()
        self._forwarder.run()

    def _receive(self) -> None:
        data = self._channel.recv(_READ_BYTES)
        if not data:
            self._forwarder.unwatch(self._channel)
            self._forwarder.schedule(monotonic() + _LINGER_S, self, b"")
            return
        *lines, self._inbox = (self._inbox + data).split(b"\n")
        for line in lines:
            answer = self._answer(json.loads(line))
            try:
                self._channel.sendall(_line(answer))
            except BrokenPipeError:
                _log.debug("the supervisor went away before it was answered")

    def deliver(self, now_s: float, due_s: float, packet: bytes) -> None:
        """The time to linger is over."""
        del now_s, due_s, packet
        self._forwarder.stop()

    def _answer(self, order: Mapping[str, Any]) -> dict[str, Any]:
        match order["op"]:
            case "impair":
                self._impair(order["impairments"])
                return {}
            case "truth":
                return {"truth": self._truth(), "real_time": self._forwarder.real_time}
            case "end":
                self._forwarder.stop()
                return {}
            case unknown:
                raise ValueError(f"the supervisor asked for {unknown!r}")

    def _impair(self, impairments: Mapping[str, Mapping[str, Any]]) -> None:
        now_s = monotonic()
        for name, fields in impairments.items():
            self._models[direction_of(name)].change(impairment_from_json(fields), now_s)
        self._built.update()

    def _truth(self) -> dict[str, Any]:
        return {
            str(direction): model.counters.to_json()
            | {
                "dropped_before": self._built.dropped_before(direction),
                "late": model.lateness.to_json(),
                "udp": model.udp.to_json(),
            }
            for direction, model in self._models.items()
        }


def _build_netns(nodes: list[NodeName], links: list[Link]) -> _Built:
    _allow_many_descriptors()
    built = netns.build(nodes, links)
    directions = [direction for link in links for direction in link.directions]
    wiring = {
        "listen": {node: [netns.address_of(node), netns.PORT] for node in nodes},
        "dial": {str(d): [netns.address_of(d.target), netns.PORT] for d in directions},
        "namespaces": list(built.net_fd_by_node),
        "user_namespace": built.user_fd is not None,
    }
    first = [] if built.user_fd is None else [built.user_fd]
    return _Built(
        wiring,
        first + list(built.net_fd_by_node.values()),
        lambda forwarder, models: netns.forward(built, forwarder, models),
        lambda: None,
        built.dropped_before,
    )


def _build_relay(nodes: list[NodeName], links: list[Link]) -> _Built:
    _allow_many_descriptors()
    bound = relay.bind_all(nodes, links)
    wiring = {
        "listen": {node: list(address) for node, address in bound.listen_by_node.items()},
        "dial": {str(direction): list(address) for direction, address in bound.seen_at.items()},
        "namespaces": [],
        "user_namespace": False,
    }
    return _Built(wiring, [], bound.forward, bound.update, lambda _: 0)


_BUILDERS = {"netns": _build_netns, "relay": _build_relay}


def _allow_many_descriptors() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 1 << 20) if hard > 0 else 1 << 16, hard))


def _first_line(channel: socket.socket) -> dict[str, Any] | None:
    """The order to build, None if the supervisor went before it was complete."""
    received = b""
    while not received.endswith(b"\n"):
        data = channel.recv(_READ_BYTES)
        if not data or len(received) > _MAX_LINE_BYTES:
            return None
        received += data
    order: dict[str, Any] = json.loads(received)
    return order


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
