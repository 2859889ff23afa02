"""Peer exchange: what a PEERS frame carries, which addresses are believed, and whom to try next.

    0          1          2
    +----------+----------+------------------------------------------------------------------+
    | kind u8  | count u8 | addresses: key 32 bytes, port u16, length u8 (4 or 16), IP       |
    | ask tell | (≤ 32)   |                                                                  |
    +----------+----------+------------------------------------------------------------------+

kind: 1 ask, with no addresses; 2 tell, only in answer to an ask. Only numeric addresses are told: a name
would let a stranger choose what our resolver is asked. An address is believed from a peer that can itself be
reached in the same scope: loopback only from loopback, private only from private or loopback, so that nobody
outside can point us at the inside. No I/O; time and randomness are arguments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from random import Random
from struct import Struct
from typing import NamedTuple, TypeAlias, TypeVar

from qudag_node.overlay.frames import FrameType, RemoteFault, encode_frame
from qudag_node.overlay.ratelimit import TokenBucket
from qudag_node.overlay.signing import KEY_BYTES

__all__ = [
    "MAX_TOLD",
    "Exchange",
    "ExchangeRefusal",
    "PeerAddress",
    "PeerBook",
    "PeersFrame",
    "Scope",
    "decode_peers",
    "encode_ask",
    "encode_tell",
    "scope_of",
]

MAX_TOLD = 32

_ASK, _TELL = 1, 2
_PREFIX = Struct("!BB")
_ADDRESS = Struct(f"!{KEY_BYTES}sHB")
# One node may listen on several addresses; more under one key would let it aim us at many victims.
_MAX_ADDRESSES_PER_KEY = 4
# Ports of one IP address that are believed; more would make us its port scanner.
_MAX_PORTS_PER_HOST = 32
# IPv4 inside IPv6, where the scope of one hides that of the other.
_TRANSLATED = tuple(ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))
_THIS_NETWORK = ip_network("0.0.0.0/8")
_SHARED = ip_network("100.64.0.0/10")

_IpAddress: TypeAlias = IPv4Address | IPv6Address
_Item = TypeVar("_Item")


class Scope(IntEnum):
    """How far an address reaches; a peer may tell of its own scope and wider ones."""

    #: This machine.
    LOOPBACK = 0
    #: This site: RFC 1918, RFC 4193, carrier-grade NAT, benchmarking.
    PRIVATE = 1
    #: Everywhere.
    GLOBAL = 2


class PeerAddress(NamedTuple):
    """Where the node with a key is said to listen. ``host`` is a numeric address."""

    key: bytes
    host: str
    port: int


class PeersFrame(NamedTuple):
    """A PEERS frame: a question, or the answer to one."""

    is_ask: bool
    addresses: tuple[PeerAddress, ...] = ()


def scope_of(host: str) -> Scope | None:
    """Return how far a numeric address reaches; None for what cannot be dialled, or is no address."""
    try:
        address = _parse(host)
    except ValueError:
        return None
    return _scope(address)


def encode_ask() -> bytes:
    """Return a whole PEERS frame that asks."""
    return encode_frame(FrameType.PEERS, _PREFIX.pack(_ASK, 0))


def encode_tell(addresses: Collection[PeerAddress]) -> bytes:
    """Return a whole PEERS frame that tells at most 32 addresses."""
    if len(addresses) > MAX_TOLD:
        raise ValueError(f"{len(addresses)} addresses: at most {MAX_TOLD}")
    payload = bytearray(_PREFIX.pack(_TELL, len(addresses)))
    for key, host, port in addresses:
        packed = _parse(host).packed
        payload += _ADDRESS.pack(key, port, len(packed)) + packed
    return encode_frame(FrameType.PEERS, bytes(payload))


def decode_peers(payload: bytes) -> PeersFrame:
    """Read the payload of a PEERS frame; whether the addresses are believed is another question.

    Raises:
        RemoteFault: ``peers_malformed``.
    """
    if len(payload) < _PREFIX.size:
        raise RemoteFault("peers_malformed", f"{len(payload)} bytes")
    kind, count = _PREFIX.unpack_from(payload)
    if kind not in (_ASK, _TELL) or count > (MAX_TOLD if kind == _TELL else 0):
        raise RemoteFault("peers_malformed", f"kind {kind} with {count} addresses")
    addresses: list[PeerAddress] = []
    start = _PREFIX.size
    for _ in range(count):
        if len(payload) < start + _ADDRESS.size:
            raise RemoteFault("peers_malformed", "cut short")
        key, port, ip_bytes = _ADDRESS.unpack_from(payload, start)
        start += _ADDRESS.size
        packed = payload[start : start + ip_bytes]
        start += ip_bytes
        if ip_bytes not in (4, 16) or len(packed) != ip_bytes:
            raise RemoteFault("peers_malformed", f"an IP address of {len(packed)} bytes")
        addresses.append(PeerAddress(key, str(_unmapped(ip_address(packed))), port))
    if start != len(payload):
        raise RemoteFault("peers_malformed", f"{len(payload) - start} bytes too many")
    return PeersFrame(kind == _ASK, tuple(addresses))


class ExchangeRefusal(StrEnum):
    """Why a PEERS frame is not acted upon; the text is the cause in the statistics."""

    #: The peer asks too often.
    RATE = "peers_rate"
    #: The peer tells without having been asked.
    UNASKED = "peers_unasked"


class Exchange:
    """The exchange on one link: who asked, and how often. Decides; the addresses are in the ``PeerBook``."""

    __slots__ = ("_asked", "_budget")

    def __init__(self, interval_s: float, now_mono_s: float) -> None:
        # Twice as often as a correct peer asks, and once at the start.
        self._budget = TokenBucket(2 / interval_s, 2, now_mono_s)
        self._asked = False

    def ask(self) -> bytes:
        """Return the frame that asks; the next tell is expected."""
        self._asked = True
        return encode_ask()

    def judge(self, frame: PeersFrame, now_mono_s: float) -> ExchangeRefusal | None:
        """Return None to act upon the frame: to answer an ask, to believe a tell. Otherwise why not."""
        if frame.is_ask:
            return None if self._budget.take(1, now_mono_s) else ExchangeRefusal.RATE
        if not self._asked:
            return ExchangeRefusal.UNASKED
        self._asked = False
        return None


@dataclass(slots=True)
class _Known:
    """One address. ``source`` is the key that told it first; our own key for what we found ourselves."""

    source: bytes
    scope: Scope
    is_proved: bool = False
    failures: int = 0


class PeerBook:
    """Addresses of nodes we could link to: bounded, and so that no one peer can fill it.

    Args:
        own_key: Never stored.
        capacity: Most addresses.
        max_per_source: Most addresses held on one peer's word; default a quarter.
    """

    __slots__ = ("_by_host", "_by_key", "_by_source", "_capacity", "_known", "_max_per_source", "_own_key")

    def __init__(self, own_key: bytes, capacity: int = 4096, max_per_source: int | None = None) -> None:
        if capacity < 1:
            raise ValueError(f"capacity {capacity} is not positive")
        self._own_key = own_key
        self._capacity = capacity
        self._max_per_source = max(1, capacity // 4) if max_per_source is None else max_per_source
        self._known: dict[PeerAddress, _Known] = {}
        self._by_key: Counter[bytes] = Counter()
        self._by_host: Counter[str] = Counter()
        self._by_source: Counter[bytes] = Counter()

    def __len__(self) -> int:
        return len(self._known)

    def learn(self, addresses: Iterable[PeerAddress], *, source: bytes, source_host: str) -> int:
        """Take what a peer told; return how many addresses were new and believed."""
        source_scope = scope_of(source_host)
        if source_scope is None:
            return 0
        learned = 0
        for address in addresses:
            if self._by_source[source] >= self._max_per_source:
                break
            scope = scope_of(address.host)
            if scope is None or scope < source_scope or self._is_unwanted(address):
                continue
            if len(self._known) >= self._capacity and not self._make_room():
                break
            self._put(address, _Known(source, scope))
            learned += 1
        return learned

    def prove(self, address: PeerAddress) -> None:
        """Note that a link to the node at this address was made, or that it links from there and listens."""
        scope = scope_of(address.host)
        if address.key == self._own_key or scope is None or address.port == 0:
            return
        if address in self._known:
            self._drop(address)
        elif self._by_host[address.host] >= _MAX_PORTS_PER_HOST:
            # Identities cost nothing; a host with many of them takes room from itself only.
            self._drop(next(known for known in self._known if known.host == address.host))
        elif len(self._known) >= self._capacity and not self._make_room():
            # Everything is proved: the one proved longest ago makes room.
            self._drop(next(iter(self._known)))
        self._put(address, _Known(self._own_key, scope, is_proved=True))

    def note_failure(self, address: PeerAddress, *, forget_after: int = 3) -> None:
        """Note that dialling failed; after some failures in a row the address is forgotten."""
        known = self._known.get(address)
        if known is None:
            return
        known.failures += 1
        known.is_proved = False
        if known.failures >= forget_after:
            self._drop(address)

    def forget(self, *, key: bytes = b"", host: str = "") -> None:
        """Forget every address of a node, or every node at a host: it is banned."""
        for address in [known for known in self._known if known.key == key or known.host == host]:
            self._drop(address)

    def candidates(self, rng: Random, count: int, *, exclude: Container[bytes]) -> list[PeerAddress]:
        """Choose addresses to dial, one for each node and few for each teller, so that no tale prevails.

        Args:
            rng: Makes the choice.
            count: How many are wanted.
            exclude: Keys of nodes that are linked, being dialled, banned or backing off.
        """
        pool = [(address, known) for address, known in self._known.items() if address.key not in exclude]
        rng.shuffle(pool)
        by_source: Counter[bytes] = Counter()
        rank: dict[PeerAddress, tuple[int, int]] = {}
        for address, known in pool:
            rank[address] = (known.failures, by_source[known.source])
            by_source[known.source] += 1
        chosen: dict[bytes, PeerAddress] = {}
        for address in sorted(rank, key=rank.__getitem__):
            if len(chosen) >= count:
                break
            chosen.setdefault(address.key, address)
        return list(chosen.values())

    def tell(self, rng: Random, *, to_key: bytes, to_host: str, count: int = MAX_TOLD) -> list[PeerAddress]:
        """Choose what to tell a peer: proved addresses of others that mean something where it is."""
        to_scope = scope_of(to_host)
        if to_scope is None:
            return []
        pool = [
            address
            for address, known in self._known.items()
            if known.is_proved and address.key != to_key and known.scope >= to_scope
        ]
        return rng.sample(pool, min(count, MAX_TOLD, len(pool)))

    def _is_unwanted(self, address: PeerAddress) -> bool:
        return (
            address.port == 0
            or address.key == self._own_key
            or address in self._known
            or self._by_key[address.key] >= _MAX_ADDRESSES_PER_KEY
            or self._by_host[address.host] >= _MAX_PORTS_PER_HOST
        )

    def _make_room(self) -> bool:
        """Forget the oldest unproved address of the teller that holds the most; False when all are proved."""
        for source, _ in self._by_source.most_common():
            for address, known in self._known.items():
                if known.source == source and not known.is_proved:
                    self._drop(address)
                    return True
        return False

    def _put(self, address: PeerAddress, known: _Known) -> None:
        self._known[address] = known
        self._by_key[address.key] += 1
        self._by_host[address.host] += 1
        self._by_source[known.source] += 1

    def _drop(self, address: PeerAddress) -> None:
        known = self._known.pop(address)
        _decrement(self._by_key, address.key)
        _decrement(self._by_host, address.host)
        _decrement(self._by_source, known.source)


def _decrement(counter: Counter[_Item], item: _Item) -> None:
    counter[item] -= 1
    if not counter[item]:
        del counter[item]


def _parse(host: str) -> _IpAddress:
    return _unmapped(ip_address(host))


def _unmapped(address: _IpAddress) -> _IpAddress:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _scope(address: _IpAddress) -> Scope | None:
    if address.is_loopback:
        return Scope.LOOPBACK
    if address.is_multicast or address.is_link_local or address.is_reserved or address in _THIS_NETWORK:
        return None
    if isinstance(address, IPv6Address) and any(address in network for network in _TRANSLATED):
        return None
    return Scope.PRIVATE if address.is_private or address in _SHARED else Scope.GLOBAL
