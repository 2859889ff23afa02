"""One node's part in link-state routing: its own adverts, everybody else's, and the routes. No I/O.

    neighbour_up, neighbour_rtt, neighbour_down   what our links do
    receive                                       an ADVERT frame came: pass it on? answer it?
    tick                                          at ``due_mono_s``: our advert when one is due, who was lost
    route, path, nodes, links                     what the map says

On a new link each end sends the other ``adverts()``, all it knows and its own last, so that two parts of a
healed network learn of each other at once; later adverts are flooded. A link is told to others only after the
neighbour's own advert has come over it: by then everything older that was believed beyond it is outrun. Time
and randomness are arguments.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from qudag_node.overlay.advert import MAX_LINKS, Advert, decode_advert, next_sequence, sign_advert
from qudag_node.overlay.costs import LinkCost
from qudag_node.overlay.lsdb import AdvertDatabase, DatabaseLimits, Outcome
from qudag_node.overlay.paths import MapLink, Route, confirmed_links, map_links, path_to, shortest_paths
from qudag_node.overlay.ratelimit import TokenBucket
from qudag_node.overlay.reachability import Reachability, ReachabilityChange
from qudag_node.overlay.signing import Signer, Verifier

__all__ = ["LinkState", "LinkStateConfig", "MapNode", "Tick", "Verdict"]

# A correct node makes at most two adverts a second over time, and eight at once when its links change.
_OWN_ADVERTS_PER_S = 2.0
_OWN_ADVERTS_BURST = 8.0
# What telling new costs may take, all neighbours together: with five links nothing is held back, with a
# thousand (an advert of 9 KB to each) new costs wait for the next renewal. Links that come or go never wait.
_REPRICING_BYTES_PER_S = 65_536
# An advert lives for four renewals, so that three may be lost.
_LIFETIME_RENEWALS = 4
_MAX_LIFETIME_S = 0xFFFF
# Dijkstra takes about 10 µs for each node; a pause of 0.5 ms for each keeps it near 2 % of a core.
_LEAST_RECOMPUTE_S = 0.02
_RECOMPUTE_S_PER_NODE = 0.0005
_EXPIRY_INTERVAL_S = 1.0
# Of nodes not heard of before one neighbour may tell so many a second over time, and so many at once. A new
# node learns a map of 4,096 in a minute; who invents nodes costs everybody 1 % of a core, not all of it.
_STRANGERS_PER_S = 50.0
_STRANGERS_BURST = 1024.0
# A neighbour that has told nothing for so long has nothing to tell.
_EXCHANGE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStateConfig:
    """What a node says of itself, and how often.

    Attributes:
        name: Announced to all; letters, digits, ``_``, ``.`` and ``-``.
        renew_interval_s: Seconds between adverts when nothing changes; up to a fifth is taken off at random.
        is_leaf: Never relay for others, adverts included.
    """

    name: str = ""
    renew_interval_s: float = 30.0
    is_leaf: bool = False
    limits: DatabaseLimits = field(default_factory=DatabaseLimits)

    def __post_init__(self) -> None:
        if self.renew_interval_s <= 0:
            raise ValueError(f"renew_interval_s {self.renew_interval_s} is not positive")


class Verdict(NamedTuple):
    """What to do with a received advert.

    Attributes:
        outcome: ACCEPTED is news, KNOWN and OLDER are duplicates; the others are causes of a drop.
        flood: Send this ADVERT payload to every link but the one it came by.
        reply: Send this ADVERT payload back: the sender knows less.
    """

    outcome: Outcome
    flood: bytes | None = None
    reply: bytes | None = None


class Tick(NamedTuple):
    """What time has brought.

    Attributes:
        advert: Send this ADVERT payload to every link.
        changes: Nodes that joined, left, were lost or found again.
    """

    advert: bytes | None
    changes: list[ReachabilityChange]


class MapNode(NamedTuple):
    """A node of the map. ``hops`` is None while it cannot be reached, and 0 for ourselves."""

    key: bytes
    name: str
    hops: int | None
    is_leaf: bool


@dataclass(slots=True)
class _Neighbour:
    cost: LinkCost
    is_told: bool
    tell_at_mono_s: float
    strangers: TokenBucket


class LinkState:
    """The routing state of one node.

    Args:
        signer: Our own key.
        verifier: Checks other nodes' adverts.
        sequence: That of our last advert before the restart, as far as it is known; 0 otherwise.
        rng: Spreads the renewals of nodes that started together.
        now_mono_s: The clock at the start.
    """

    def __init__(
        self,
        signer: Signer,
        verifier: Verifier,
        config: LinkStateConfig,
        *,
        sequence: int,
        rng: Random,
        now_mono_s: float,
    ) -> None:
        self._signer = signer
        self._config = config
        self._rng = rng
        self._sequence = sequence
        self._neighbours: dict[bytes, _Neighbour] = {}
        self._database = AdvertDatabase(verifier, config.limits)
        self._reachability = Reachability(capacity=config.limits.origins)
        self._own: Advert | None = None
        self._routes: dict[bytes, Route] = {}
        self._reachable: Set[bytes] = frozenset()
        self._budget = TokenBucket(_OWN_ADVERTS_PER_S, _OWN_ADVERTS_BURST, now_mono_s)
        self._must_advertise = True
        self._must_reprice = False
        self._reprice_at_mono_s = now_mono_s
        self._renew_at_mono_s = now_mono_s
        self._expire_at_mono_s = now_mono_s + _EXPIRY_INTERVAL_S
        self._must_compute = False
        self._compute_at_mono_s = now_mono_s

    # What our links do.

    def neighbour_up(self, key: bytes, now_mono_s: float, rtt_s: float | None = None) -> None:
        """A link stands; ``rtt_s`` is a first estimate where there is one. Send ``adverts()`` over it.

        A second link that takes the place of the first changes nothing: the neighbour was never gone.
        """
        if key not in self._neighbours:
            strangers = TokenBucket(_STRANGERS_PER_S, _STRANGERS_BURST, now_mono_s)
            tell_at_mono_s = now_mono_s + _EXCHANGE_TIMEOUT_S
            self._neighbours[key] = _Neighbour(LinkCost(rtt_s), False, tell_at_mono_s, strangers)
            self._must_compute = True

    def neighbour_rtt(self, key: bytes, rtt_s: float) -> bool:
        """A ping was answered; unknown neighbours are ignored, for their link may just have ended.

        Returns:
            Whether ``due_mono_s`` may have changed by it.
        """
        neighbour = self._neighbours.get(key)
        if neighbour is None:
            return False
        is_first = not neighbour.cost.is_measured
        neighbour.cost.sample(rtt_s)
        if self._must_reprice or not neighbour.is_told:
            return False
        self._must_reprice = is_first or neighbour.cost.is_worth_telling
        return self._must_reprice

    def neighbour_down(self, key: bytes) -> None:
        """The link has ended."""
        neighbour = self._neighbours.pop(key, None)
        if neighbour is not None:
            self._must_compute = True
            self._must_advertise |= neighbour.is_told

    # Adverts.

    @property
    def sequence(self) -> int:
        """The sequence of our last advert; keep it over a restart."""
        return self._sequence

    def receive(self, encoded: bytes, sender: bytes, now_mono_s: float) -> Verdict:
        """Judge the payload of an ADVERT frame that a neighbour sent.

        Raises:
            RemoteFault: No correct node would have sent it: ``advert_malformed``, ``advert_version``,
                ``advert_signature``.
        """
        advert = decode_advert(encoded)
        if advert.origin == self._signer.public_key:
            return self._receive_own(advert)
        if not self._may_tell(sender, advert.origin, now_mono_s):
            return Verdict(Outcome.STRANGERS)
        before = self._database.changes
        outcome = self._database.receive(
            advert, now_mono_s, needed=self._reachability.present, neighbours=self._neighbours
        )
        if advert.origin == sender:
            self._tell_of(sender)
        if self._database.changes != before:
            self._must_compute = True
        if outcome is Outcome.ACCEPTED:
            return Verdict(outcome, flood=None if self._config.is_leaf else encoded)
        if outcome is Outcome.OLDER:
            known = self._database.get(advert.origin)
            return Verdict(outcome, reply=None if known is None else known.encoded)
        return Verdict(outcome)

    def adverts(self) -> list[bytes]:
        """Return the payloads of all adverts known: what a new neighbour is told. A leaf tells its own only.

        Our own is the last; it is left out when it is about to be replaced, and ``tick`` will give it.
        """
        payloads = [] if self._config.is_leaf else [advert.encoded for advert in self._database]
        if self._own is not None and not self._must_advertise:
            payloads.append(self._own.encoded)
        return payloads

    def leave(self, wall_ms: int) -> bytes:
        """Return the last advert: no links any more, on purpose. Send it to every link, then close them."""
        self._neighbours.clear()
        return self._advertise(wall_ms, is_leaving=True).encoded

    # Time.

    @property
    def due_mono_s(self) -> float:
        """When ``tick`` should be called next; ask again after every other call."""
        advertise_at_mono_s = max(self._budget.ready_mono_s(1), self._wanted_mono_s())
        due_mono_s = min(advertise_at_mono_s, self._expire_at_mono_s, self._reachability.due_mono_s)
        for neighbour in self._neighbours.values():
            if not neighbour.is_told:
                due_mono_s = min(due_mono_s, neighbour.tell_at_mono_s)
        return min(due_mono_s, self._compute_at_mono_s) if self._must_compute else due_mono_s

    def tick(self, now_mono_s: float, wall_ms: int) -> Tick:
        """Do what is due; cheap when nothing is."""
        for key, neighbour in self._neighbours.items():
            if not neighbour.is_told and now_mono_s >= neighbour.tell_at_mono_s:
                self._tell_of(key)
        advert: bytes | None = None
        if now_mono_s >= self._wanted_mono_s() and self._budget.take(1, now_mono_s):
            advert = self._advertise(wall_ms).encoded
            interval_s = self._config.renew_interval_s
            self._renew_at_mono_s = now_mono_s + interval_s * self._rng.uniform(0.8, 1.0)
            flooded_bytes = len(advert) * len(self._neighbours)
            self._reprice_at_mono_s = now_mono_s + flooded_bytes / _REPRICING_BYTES_PER_S
            self._must_compute = True
        if now_mono_s >= self._expire_at_mono_s:
            self._expire_at_mono_s = now_mono_s + _EXPIRY_INTERVAL_S
            if self._database.expire(now_mono_s):
                self._must_compute = True
        changes: list[ReachabilityChange] = []
        if self._must_compute and now_mono_s >= self._compute_at_mono_s:
            self._compute(now_mono_s)
            wait_s = max(_LEAST_RECOMPUTE_S, _RECOMPUTE_S_PER_NODE * len(self._database))
            self._compute_at_mono_s = now_mono_s + wait_s
            changes = self._tell_reachability(now_mono_s)
        elif now_mono_s >= self._reachability.due_mono_s:
            changes = self._tell_reachability(now_mono_s)
        return Tick(advert, changes)

    def _wanted_mono_s(self) -> float:
        """When the next advert of ours is wanted: at once when links came or went."""
        if self._must_advertise:
            return -math.inf
        if self._must_reprice:
            return min(self._reprice_at_mono_s, self._renew_at_mono_s)
        return self._renew_at_mono_s

    # The map.

    def route(self, destination: bytes) -> Route | None:
        """Return how to reach a node; None when there is no way, or the way began with a link just lost."""
        route = self._routes.get(destination)
        if route is None or route.next_hop not in self._neighbours:
            return None
        return route

    def path(self, destination: bytes) -> list[bytes]:
        """Return the nodes from here to there, both included; empty when there is no way."""
        return path_to(destination, self._routes, self._signer.public_key)

    def nodes(self) -> list[MapNode]:
        """Return every node known, ourselves first."""
        own = self._signer.public_key
        nodes = [MapNode(own, self._config.name, 0, self._config.is_leaf)]
        for advert in self._database:
            route = self.route(advert.origin)
            nodes.append(
                MapNode(advert.origin, advert.name, None if route is None else route.hops, advert.is_leaf)
            )
        return nodes

    def links(self) -> list[MapLink]:
        """Return every link that anybody claims, in the order of their ends."""
        return sorted(set(map_links(self._claims())))

    def _may_tell(self, sender: bytes, origin: bytes, now_mono_s: float) -> bool:
        neighbour = self._neighbours.get(sender)
        if neighbour is None or origin in self._neighbours or self._database.get(origin) is not None:
            return True
        return neighbour.strangers.take(1, now_mono_s)

    def _receive_own(self, advert: Advert) -> Verdict:
        """An advert of ours comes back: one from before a restart is outrun, or it would count for ever."""
        if self._own is not None and not advert.is_newer_than(self._own):
            if advert.encoded == self._own.encoded:
                return Verdict(Outcome.KNOWN)
            return Verdict(Outcome.OLDER, reply=self._own.encoded)
        self._database.require_signature(advert)
        self._sequence = max(self._sequence, advert.sequence)
        self._must_advertise = True
        return Verdict(Outcome.OLDER)

    def _tell_of(self, key: bytes) -> None:
        """The neighbour has told us all it knows: from now on its link is in the map."""
        neighbour = self._neighbours.get(key)
        if neighbour is not None and not neighbour.is_told:
            neighbour.is_told = True
            self._must_advertise = self._must_compute = True

    def _advertise(self, wall_ms: int, *, is_leaving: bool = False) -> Advert:
        self._sequence = next_sequence(self._sequence, wall_ms)
        # Over 256 links the cheapest are told; the others still serve as direct ways. What was told stays
        # told, or links of much the same cost would come and go on everybody's map.
        before = {} if self._own is None else self._own.cost_us_by_neighbour
        costs = {key: neighbour.cost.advertise() for key, neighbour in self._told()}
        told = sorted(costs, key=lambda key: (key not in before, costs[key], key))[:MAX_LINKS]
        self._own = sign_advert(
            self._signer,
            {key: costs[key] for key in told},
            sequence=self._sequence,
            name=self._config.name,
            lifetime_s=min(math.ceil(self._config.renew_interval_s * _LIFETIME_RENEWALS), _MAX_LIFETIME_S),
            is_leaf=self._config.is_leaf,
            is_leaving=is_leaving,
        )
        self._must_advertise = self._must_reprice = False
        return self._own

    def _claims(self) -> dict[bytes, Mapping[bytes, int]]:
        """What everybody says, and of ourselves what is so."""
        claims = {advert.origin: advert.cost_us_by_neighbour for advert in self._database}
        claims[self._signer.public_key] = {
            key: neighbour.cost.advertised_us for key, neighbour in self._told()
        }
        return claims

    def _told(self) -> Iterator[tuple[bytes, _Neighbour]]:
        return ((key, neighbour) for key, neighbour in self._neighbours.items() if neighbour.is_told)

    def _compute(self, now_mono_s: float) -> None:
        own = self._signer.public_key
        leaves = {advert.origin for advert in self._database if advert.is_leaf}
        routes = shortest_paths(confirmed_links(self._claims()), own, leaves)
        reachable = set(routes)
        # A neighbour that is not in the map yet is one hop away all the same. It counts as found together
        # with what lies beyond it, so that a healing is one event; or alone, when it has nothing to tell.
        for key, neighbour in self._neighbours.items():
            if key not in routes:
                routes[key] = Route(key, 1, neighbour.cost.smoothed_us, own)
                if now_mono_s >= neighbour.tell_at_mono_s:
                    reachable.add(key)
        self._routes = routes
        self._reachable = reachable
        self._must_compute = False

    def _tell_reachability(self, now_mono_s: float) -> list[ReachabilityChange]:
        leaving = {advert.origin for advert in self._database if advert.is_leaving}
        return self._reachability.update(self._reachable, leaving, now_mono_s)
