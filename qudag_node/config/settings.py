"""Everything a node can be told: one frozen dataclass per section, each checked as it is made.

Every field carries its sentence in ``metadata["help"]``; the template of ``config init`` and
docs/configuration.md are written from it. No field is read from anywhere here: that is the loader's.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from qudag_node.errors import ConfigError
from qudag_node.peerid import public_key_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = [
    "HistoryConfig",
    "LabConfig",
    "LogConfig",
    "MetricsConfig",
    "NodeConfig",
    "OverlayConfig",
    "ProcessConfig",
    "RpcConfig",
    "TestsConfig",
]

T = TypeVar("T")

# An advert has room for 63 bytes of name.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.]{0,62}")
_PORT_RANGE = re.compile(r"[0-9]{1,5}(-[0-9]{1,5})?")
# Text in a HELLO has one byte of length.
_MAX_ADDRESS_BYTES = 255
# RFC 1035, section 2.3.4, without the root's dot.
_MAX_HOST_CHARS = 253

# A time of less is none; one of more is a mistake in the unit, and would have to fit the kernel's timers.
_MIN_S, _MAX_S = 0.001, 86_400.0
# Far above what a machine can do, far below what a double counts exactly.
_MIN_RATE, _MAX_RATE = 0.001, 1e12
_GIBIBYTE = 1 << 30


def _setting(default: T, meaning: str, *, least: float | None = None, most: float | None = None) -> T:
    """Return a dataclass field with its sentence and its range, typed as the value it will hold.

    The range is what the parts bear that the value is handed to; a test runs a node at both ends of each.
    """
    return field(default=default, metadata={"help": meaning, "least": least, "most": most})


def _seconds(default: float, meaning: str, *, least: float = _MIN_S, most: float = _MAX_S) -> float:
    return _setting(default, meaning, least=least, most=most)


def _check_ranges(section: str, config: DataclassInstance) -> None:
    """Refuse the first number that is out of its range."""
    for each in fields(config):
        value, least, most = getattr(config, each.name), each.metadata["least"], each.metadata["most"]
        if value is None or least is None:
            continue
        _at_least(f"{section}.{each.name}", value, least)
        if not value <= most:
            raise ConfigError(f"{section}.{each.name}", f"{_digits(value)} is more than {_digits(most)}")


def _at_least(key: str, value: float, least: float) -> None:
    if not value >= least:
        raise ConfigError(key, f"{_digits(value)} is less than {_digits(least)}")


def _digits(number: float) -> str:
    """Write a number short: none of a thousand digits, and 1000000 rather than 1e+06."""
    if isinstance(number, int) and abs(number) < 10**18:
        return str(number)
    try:
        return f"{number:.15g}"
    except OverflowError:
        return "a number of over 300 digits"


def _one_of(key: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        raise ConfigError(key, f"{value!r} is not one of {', '.join(choices)}")


def _host_and_port(key: str, address: str) -> None:
    """Refuse what is not HOST:PORT or [HOST]:PORT, port 0 to 65535, or no peer can be told."""
    host, colon, port = address.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if is_bracketed else host
    if not colon or not host or (":" in host) != is_bracketed:
        raise ConfigError(key, f"{address!r} is not HOST:PORT (an IPv6 host in brackets)")
    if not host.isprintable() or any(char in host for char in " /@[]"):
        raise ConfigError(key, f"{address!r}: the host has characters that no host has")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise ConfigError(key, f"{address!r}: the port is not a number from 0 to 65535")
    if len(host) > _MAX_HOST_CHARS or len(address.encode()) > _MAX_ADDRESS_BYTES:
        raise ConfigError(
            key,
            f"{address[:20]!r}…: a host has at most {_MAX_HOST_CHARS} characters, "
            f"an address {_MAX_ADDRESS_BYTES} bytes",
        )


def _peer(key: str, address: str) -> None:
    """Refuse what is not [PEERID@]HOST:PORT."""
    peer_id, at, endpoint = address.rpartition("@")
    _host_and_port(key, endpoint)
    if at:
        try:
            public_key_of(peer_id)
        except ValueError as exc:
            raise ConfigError(key, str(exc)) from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessConfig:
    """Who the node is, where it keeps its files, how long it may take to stop."""

    name: str = _setting(
        "node", "the name it announces; letters, digits, '_' and '.'; also names the default data_dir"
    )
    data_dir: Path | None = _setting(
        None, "where key, socket and log live; unset: $XDG_DATA_HOME/qudag/NAME. Not read from the file"
    )
    network: str = _setting("qudag", "nodes of different networks refuse each other")
    stop_timeout_s: float = _seconds(5.0, "seconds that links and clients get to end in order")

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                "node.name",
                f"{self.name!r} is not 1 to 63 letters, digits, '_' and '.', the first no dot",
            )
        if not _NAME.fullmatch(self.network):
            raise ConfigError("node.network", f"{self.network!r} is not 1 to 63 letters, digits, '_' and '.'")
        _check_ranges("node", self)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayConfig:
    """The links to other nodes: where, how many, how patient, how much."""

    listen: tuple[str, ...] = _setting(
        ("0.0.0.0:8000",),  # peers are to reach it; every link proves its identity
        "addresses to accept links on, HOST:PORT; port 0 takes a free one",
    )
    advertise: tuple[str, ...] = _setting((), "addresses that others are told; empty: those of listen")
    peers: tuple[str, ...] = _setting((), "peers to keep a link to, [PEERID@]HOST:PORT")
    discovery: bool = _setting(True, "learn of further peers from peers, and link to them")
    share_links: bool = _setting(True, "relay for others; false makes a leaf")
    max_links: int = _setting(128, "links in total", least=1, most=65_536)
    max_links_per_address: int = _setting(32, "links from one IP address", least=1, most=65_536)
    max_pending_links: int = _setting(64, "links whose handshake is not done", least=1, most=65_536)
    target_links: int = _setting(
        8, "links that discovery dials up to; configured peers come on top", least=0, most=65_536
    )
    handshake_timeout_s: float = _seconds(5.0, "seconds for TLS and the proof of identity")
    ping_interval_s: float = _seconds(1.0, "seconds between pings of a link", least=0.01)
    dead_peer_timeout_s: float = _seconds(10.0, "seconds of silence after which a link is closed", least=0.01)
    reconnect_min_s: float = _seconds(0.5, "first wait before a peer is dialled again")
    reconnect_max_s: float = _seconds(60.0, "longest wait before a peer is dialled again")
    send_queue_messages: int = _setting(
        1024,
        "messages waiting on one link; what does not fit is dropped and counted",
        least=1,
        most=1_048_576,
    )
    send_queue_bytes: int = _setting(1_048_576, "bytes waiting on one link", least=20_480, most=_GIBIBYTE)
    receive_queue_messages: int = _setting(
        1024, "decoded messages of one link waiting to be handled", least=1, most=1_048_576
    )
    # A vertex (16 KiB of payload, 8 parents, a signature) must fit; a size is counted in 24 bits.
    max_frame_bytes: int = _setting(65_536, "largest payload of one frame", least=20_480, most=8_388_608)
    peer_messages_per_s: float = _setting(
        5_000.0, "messages accepted from one peer, on average", least=_MIN_RATE, most=_MAX_RATE
    )
    peer_bytes_per_s: float = _setting(
        16_777_216.0, "bytes accepted from one peer, on average", least=_MIN_RATE, most=_MAX_RATE
    )
    # The cache has two halves; 16 million ids are 2 GB.
    seen_vertices: int = _setting(
        65_536, "vertices remembered so that each is passed on once", least=2, most=16_777_216
    )
    seen_ttl_s: float = _seconds(600.0, "seconds a vertex is remembered")
    max_known_peers: int = _setting(4_096, "peers remembered, linked or not", least=1, most=1_048_576)
    max_origins: int = _setting(4_096, "nodes in the routing map", least=1, most=65_536)
    # A routed message counts its hops in one byte, and the last hop is no relay.
    max_hops: int = _setting(16, "relays that a routed message may pass", least=1, most=254)
    # An advert holds for four intervals, and has 16 bits for the seconds.
    advert_interval_s: float = _setting(
        30.0, "seconds between link-state adverts when nothing changes", least=_MIN_S, most=16_383.0
    )
    routing_probe_interval_s: float = _seconds(
        5.0, "seconds between routed probes of distant nodes; 0: none", least=0
    )
    exchange_interval_s: float = _seconds(30.0, "seconds between exchanges of known peers")

    def __post_init__(self) -> None:
        for address in self.listen:
            _host_and_port("overlay.listen", address)
        for address in self.advertise:
            _host_and_port("overlay.advertise", address)
        for peer in self.peers:
            _peer("overlay.peers", peer)
        _check_ranges("overlay", self)
        _at_least("overlay.dead_peer_timeout_s", self.dead_peer_timeout_s, self.ping_interval_s)
        _at_least("overlay.reconnect_max_s", self.reconnect_max_s, self.reconnect_min_s)
        _at_least("overlay.send_queue_bytes", self.send_queue_bytes, self.max_frame_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsConfig:
    """What is measured, how often, and against which capacity."""

    recording: bool = _setting(True, "count messages, bytes and latencies")
    interval_s: float = _setting(1.0, "seconds between two samples", least=0.1, most=60)
    retention_s: float = _setting(
        60.0, "seconds that a latency counts in summaries, and a probe in the loss", least=10, most=3_600
    )
    max_peers: int = _setting(10_000, "peers with figures of their own", least=1, most=1_048_576)
    capacity_bits_per_s: float | None = _setting(
        None,
        "capacity of one direction of the access link; unset: utilization is not shown",
        least=1,
        most=1e15,
    )
    tcp_info: str = _setting(
        "path", "'path', 'not-of-path' (a relay ends TCP; kept out of diagnostics) or 'off'"
    )

    def __post_init__(self) -> None:
        _one_of("metrics.tcp_info", self.tcp_info, ("path", "not-of-path", "off"))
        _check_ranges("metrics", self)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryConfig:
    """How much of the past is kept in memory, per series."""

    points_1s: int = _setting(600, "points at 1 s", least=2, most=1_048_576)
    points_10s: int = _setting(2_160, "points at 10 s", least=2, most=1_048_576)
    points_60s: int = _setting(10_080, "points at 60 s", least=2, most=1_048_576)
    max_series: int = _setting(512, "series, those of peers aside", least=1, most=65_536)
    max_peers: int = _setting(100, "peers with series of their own", least=0, most=65_536)

    def __post_init__(self) -> None:
        _check_ranges("history", self)


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcConfig:
    """Who may ask the node, where, and how much."""

    listen: tuple[str, ...] = _setting(
        (), "addresses besides the socket: tcp://HOST:PORT (loopback only) or tls://HOST:PORT"
    )
    viewer_group: str | None = _setting(None, "a Unix group whose members may read over the socket")
    max_clients: int = _setting(2_048, "clients at once", least=1, most=65_536)
    max_clients_per_address: int = _setting(1_024, "clients of one IP address at once", least=1, most=65_536)
    handshake_timeout_s: float = _seconds(5.0, "seconds until hello and authenticate must be done")
    idle_timeout_s: float = _seconds(
        600.0, "seconds without a request, and without a subscription, until a close"
    )
    requests_per_s: float = _setting(
        2_000.0, "requests of one client, on average", least=_MIN_RATE, most=_MAX_RATE
    )
    request_burst: int = _setting(4_000, "requests of one client at once", least=1, most=1_000_000_000)
    max_subscriptions: int = _setting(16, "subscriptions of one client", least=1, most=1_024)
    min_interval_s: float = _setting(0.1, "shortest interval of a subscription", least=0.1, most=3_600)
    slow_subscriber_timeout_s: float = _seconds(
        60.0, "seconds a subscriber may leave a frame unread until a close"
    )
    failures_per_minute: int = _setting(
        10, "failed authentications of one address per minute", least=1, most=1_000_000
    )

    def __post_init__(self) -> None:
        for address in self.listen:
            scheme, separator, rest = address.partition("://")
            if not separator or scheme not in {"tcp", "tls"}:
                raise ConfigError("rpc.listen", f"{address!r} is neither tcp://HOST:PORT nor tls://HOST:PORT")
            _host_and_port("rpc.listen", rest.rpartition("@")[2])
        _check_ranges("rpc", self)


@dataclass(frozen=True, slots=True, kw_only=True)
class TestsConfig:
    """What this node lets others test, and how much of it; and what its own tests may cost."""

    #: pytest looks at the name.
    __test__: ClassVar[bool] = False

    enabled: bool = _setting(
        True, "take part in the tests that other nodes make; routing's own traces are answered all the same"
    )
    max_rate_bits_per_s: float = _setting(
        1e9, "what all tests of others together may send, or have sent here", least=1_000, most=1e12
    )
    max_packets_per_s: float = _setting(
        10_000.0,
        "packets and messages of all tests of others together; of udp small packets alone, of tcp none",
        least=1,
        most=1e7,
    )
    max_duration_s: float = _seconds(
        60.0, "how long a test of another node may load this one; pings at 200/s last up to 60 times that"
    )
    max_sessions: int = _setting(8, "tests of others at once", least=1, most=1_024)
    max_heavy_sessions: int = _setting(1, "those of them that load the network", least=0, most=64)
    max_sessions_per_peer: int = _setting(4, "tests of one peer at once", least=1, most=1_024)
    max_running: int = _setting(
        8,
        "this node's own tests at once; those that disturb each other take turns, "
        "and of one peer no more than 4 run that need its consent",
        least=1,
        most=256,
    )
    max_queued: int = _setting(64, "this node's own tests that wait for their turn", least=0, most=4_096)
    port_range: str = _setting(
        "0", "UDP and TCP ports for tests, FIRST-LAST, for instance 40000-40100; 0: any that is free"
    )
    stamp: str | None = _setting(
        None, "HOST:PORT of a STAMP reflector for everybody, without authentication (RFC 8762); unset: none"
    )
    background_bytes_per_s: float = _setting(
        1_000.0, "what probes that nobody has asked for may take; 0: there are none", least=0, most=1e9
    )
    keep_results: int = _setting(1_000, "results kept", least=1, most=1_000_000)
    keep_days: float = _setting(90.0, "days a result is kept", least=0.01, most=36_500)
    dscp: int = _setting(8, "DSCP of test packets; 8 is CS1, lower effort (RFC 3662)", least=0, most=63)

    def __post_init__(self) -> None:
        if self.stamp is not None:
            _host_and_port("tests.stamp", self.stamp)
        _check_ranges("tests", self)
        if self.ports is not None and not 1 <= self.ports.start <= self.ports.stop - 1 <= 65_535:
            raise ConfigError("tests.port_range", f"{self.port_range!r} is not FIRST-LAST within 1 to 65535")

    @property
    def ports(self) -> range | None:
        """The ports for tests; None for any that is free."""
        if self.port_range == "0":
            return None
        if not _PORT_RANGE.fullmatch(self.port_range):
            raise ConfigError("tests.port_range", f"{self.port_range!r} is neither 0 nor FIRST-LAST")
        first, _, last = self.port_range.partition("-")
        return range(int(first), int(last or first) + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """How much is logged, and where to."""

    level: str = _setting("info", "'debug', 'info', 'warning' or 'error'")
    target: str = _setting(
        "auto", "'file' (DIR/node.log), 'stderr', or 'auto': stderr under systemd, else the file"
    )
    file_bytes: int = _setting(4_194_304, "size at which the file is rotated", least=65_536, most=1 << 40)
    backups: int = _setting(3, "rotated files kept", least=1, most=1_000)

    def __post_init__(self) -> None:
        _one_of("log.level", self.level, ("debug", "info", "warning", "error"))
        _one_of("log.target", self.target, ("auto", "file", "stderr"))
        _check_ranges("log", self)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabConfig:
    """Set by the lab that starts the node; an operator leaves it alone."""

    faults: bool = _setting(False, "allow the faults that a lab asks for")
    parent_fd: int | None = _setting(
        None, "a pipe's read end; the node stops when its writer is gone", least=0, most=2_147_483_647
    )

    def __post_init__(self) -> None:
        _check_ranges("lab", self)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """Everything a node can be told."""

    node: ProcessConfig = ProcessConfig()
    overlay: OverlayConfig = OverlayConfig()
    metrics: MetricsConfig = MetricsConfig()
    history: HistoryConfig = HistoryConfig()
    rpc: RpcConfig = RpcConfig()
    tests: TestsConfig = TestsConfig()
    log: LogConfig = LogConfig()
    lab: LabConfig = LabConfig()
