"""A network of routing states in simulated time: links carry frames late, in order, or not at all.

Real ``LinkState`` and ``Router`` objects; only the sockets and the clock are simulated, so a minute of
network takes milliseconds and every run is the same.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from itertools import count
from random import Random

from qudag_node.overlay.advert import decode_advert, sign_advert
from qudag_node.overlay.linkstate import LinkState, LinkStateConfig
from qudag_node.overlay.lsdb import DatabaseLimits, Outcome
from qudag_node.overlay.reachability import ReachabilityChange
from qudag_node.overlay.routed import Decision, Deliver, Drop, Forward, ProbeResult, Router
from qudag_node.overlay.signing import Verifier
from tests.qudag_node.overlay.keys import NETWORK, signer_of

EPOCH_MS = 1_700_000_000_000
PING_INTERVAL_S = 1.0


class SimulatedNode:
    """One node; ``lies`` maps names of others to what it claims that its link to them costs, in seconds."""

    def __init__(
        self,
        network: SimulatedNetwork,
        name: str,
        *,
        is_leaf: bool,
        sequence: int = 0,
        lies: dict[str, float] | None = None,
        limits: DatabaseLimits | None = None,
    ) -> None:
        self.network = network
        self.name = name
        self.is_leaf = is_leaf
        self.lies = lies or {}
        self.signer = signer_of(network.number_of(name))
        self.key = self.signer.public_key
        self.neighbours: set[str] = set()
        self.state = LinkState(
            self.signer,
            Verifier(NETWORK),
            LinkStateConfig(name=name, is_leaf=is_leaf, limits=limits or DatabaseLimits()),
            sequence=sequence,
            rng=Random(name),
            now_mono_s=network.now_s,
        )
        self.router = Router(self.signer, Verifier(NETWORK), self.next_hop, relays=not is_leaf)
        self.changes: list[ReachabilityChange] = []
        self.outcomes: list[Outcome] = []
        self.delivered: list[bytes] = []
        self.answered: list[ProbeResult] = []
        self.drops: list[str] = []
        self.relayed = 0

    def next_hop(self, destination: bytes) -> bytes | None:
        route = self.state.route(destination)
        return None if route is None else route.next_hop

    def flood(self, payload: bytes, *, but: str | None = None) -> None:
        for name in sorted(self.neighbours - {but}):
            self.network.send(self.name, name, "advert", payload)

    def tick(self) -> None:
        tick = self.state.tick(self.network.now_s, self.network.wall_ms)
        self.changes += tick.changes
        if tick.advert is not None:
            self.flood(self.as_told(tick.advert))

    def as_told(self, payload: bytes) -> bytes:
        advert = decode_advert(payload)
        if not self.lies or advert.origin != self.key:
            return payload
        claims = {self.network.key(name): max(1, round(s * 1e6)) for name, s in self.lies.items()}
        return sign_advert(
            self.signer,
            dict(advert.cost_us_by_neighbour) | claims,
            sequence=advert.sequence,
            name=advert.name,
            lifetime_s=advert.lifetime_s,
        ).encoded

    def receive(self, sender: str, kind: str, payload: bytes) -> None:
        if kind == "advert":
            verdict = self.state.receive(payload, self.network.key(sender), self.network.now_s)
            self.outcomes.append(verdict.outcome)
            if verdict.flood is not None:
                self.flood(verdict.flood, but=sender)
            if verdict.reply is not None:
                self.network.send(self.name, sender, "advert", self.as_told(verdict.reply))
        else:
            self.act(self.router.receive(payload, self.network.key(sender), self.network.now_s))

    def act(self, decision: Decision) -> None:
        match decision:
            case Forward():
                self.relayed += 1
                self.network.send(
                    self.name, self.network.name_of(decision.next_hop), "routed", decision.payload
                )
            case Deliver():
                self.delivered.append(decision.message.body)
            case Drop():
                self.drops.append(str(decision.cause))
            case ProbeResult():
                self.answered.append(decision)
            case _:
                raise AssertionError(f"nothing here traces: {decision}")

    def probe(self, destination: str) -> None:
        identity = Random(self.network.now_s).randbytes(16)
        self.act(
            self.router.probe(self.network.key(destination), identity=identity, now_mono_s=self.network.now_s)
        )

    def tell(self, destination: str, body: bytes) -> None:
        identity = Random(body).randbytes(16)
        self.act(self.router.message(self.network.key(destination), body, identity=identity))


class SimulatedNetwork:
    """Nodes by name, links by pair of names, one clock."""

    def __init__(self, names: Iterable[str], *, leaves: Iterable[str] = ()) -> None:
        self.now_s = 1000.0
        self._order = count()
        self._numbers = {name: number for number, name in enumerate(names, start=1)}
        self._names = {signer_of(number).public_key: name for name, number in self._numbers.items()}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._rtt_s: dict[frozenset[str], float] = {}
        # Of each link how often it was made, so that what was on its way when it broke never arrives.
        self._made: dict[frozenset[str], int] = {}
        leaves = set(leaves)
        self.nodes = {name: SimulatedNode(self, name, is_leaf=name in leaves) for name in self._numbers}

    def number_of(self, name: str) -> int:
        return self._numbers[name]

    def name_of(self, key: bytes) -> str:
        return self._names[key]

    def key(self, name: str) -> bytes:
        return signer_of(self._numbers[name]).public_key

    @property
    def wall_ms(self) -> int:
        return EPOCH_MS + round(self.now_s * 1000)

    def at(self, time_s: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (time_s, next(self._order), action))

    def up(self, a: str, b: str, rtt_s: float) -> None:
        ends = frozenset((a, b))
        self._rtt_s[ends] = rtt_s
        self._made[ends] = self._made.get(ends, 0) + 1
        for name, other in ((a, b), (b, a)):
            node = self.nodes[name]
            node.neighbours.add(other)
            node.state.neighbour_up(self.key(other), self.now_s)
            for payload in node.state.adverts():
                self.send(name, other, "advert", node.as_told(payload))
            self._ping(name, other, self._made[ends])

    def down(self, a: str, b: str) -> None:
        if self._rtt_s.pop(frozenset((a, b)), None) is None:
            return
        for name, other in ((a, b), (b, a)):
            self.nodes[name].neighbours.discard(other)
            self.nodes[name].state.neighbour_down(self.key(other))

    def kill(self, name: str) -> dict[str, float]:
        """Cut every link of a node at once; return the links."""
        links = {other: self._rtt_s[frozenset((name, other))] for other in self.nodes[name].neighbours}
        for other in links:
            self.down(name, other)
        return links

    def restart(self, name: str, *, sequence: int = 0) -> None:
        """Kill a node, and start it again with the same key and links and an empty memory."""
        links = self.kill(name)
        self.nodes[name] = SimulatedNode(
            self, name, is_leaf=self.nodes[name].is_leaf, sequence=sequence, lies=self.nodes[name].lies
        )
        for other, rtt_s in links.items():
            self.up(name, other, rtt_s)

    def leave(self, name: str) -> None:
        """Stop a node in order."""
        node = self.nodes[name]
        node.flood(node.state.leave(self.wall_ms))
        self.run(1.0)
        self.kill(name)

    def send(self, sender: str, receiver: str, kind: str, payload: bytes) -> None:
        ends = frozenset((sender, receiver))
        made = self._made[ends]

        def arrive() -> None:
            if ends in self._rtt_s and self._made[ends] == made:
                self.nodes[receiver].receive(sender, kind, payload)

        if ends in self._rtt_s:
            self.at(self.now_s + self._rtt_s[ends] / 2, arrive)

    def run(self, duration_s: float) -> None:
        """Let time pass."""
        end_s = self.now_s + duration_s
        while True:
            ticks = ((max(node.state.due_mono_s, self.now_s), name) for name, node in self.nodes.items())
            tick_s, name = min(ticks)
            event_s = self._events[0][0] if self._events else end_s + 1
            if min(tick_s, event_s) > end_s:
                self.now_s = end_s
                return
            self.now_s = max(self.now_s, min(tick_s, event_s))
            if event_s <= tick_s:
                heapq.heappop(self._events)[2]()
            else:
                self.nodes[name].tick()

    def _ping(self, name: str, other: str, made: int) -> None:
        ends = frozenset((name, other))

        def answered() -> None:
            if ends in self._rtt_s and self._made[ends] == made:
                self.nodes[name].state.neighbour_rtt(self.key(other), self._rtt_s[ends])
                self._ping(name, other, made)

        self.at(self.now_s + max(self._rtt_s[ends], PING_INTERVAL_S), answered)
