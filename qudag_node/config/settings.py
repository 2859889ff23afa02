"""Everything a node can be told: one frozen dataclass per section, each checked as it is made.

Every field carries its sentence in ``metadata["help"]``; the template of ``config init`` and
docs/configuration.md are written from it. No field is read from anywhere here: that is the loader's.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from qudag_node.errors import ConfigError

__all__ = [
    "HistoryConfig",
    "LabConfig",
    "LogConfig",
    "MetricsConfig",
    "NodeConfig",
    "OverlayConfig",
    "ProcessConfig",
    "RpcConfig",
]

T = TypeVar("T")

# An advert has room for 63 bytes of name.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.]{0,62}")


def _setting(default: T, meaning: str) -> T:
    """Return a dataclass field with its sentence, typed as the value it will hold."""
    return field(default=default, metadata={"help": meaning})


def _at_least(key: str, value: float, least: float) -> None:
    if not value >= least:
        raise ConfigError(key, f"{value:g} is less than {least:g}")


def _positive(key: str, value: float) -> None:
    if not value > 0:
        raise ConfigError(key, f"{value:g} is not more than 0")


def _one_of(key: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        raise ConfigError(key, f"{value!r} is not one of {', '.join(choices)}")


def _host_and_port(key: str, address: str) -> None:
    """Refuse what is not HOST:PORT or [HOST]:PORT, port 0 to 65535."""
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host or (":" in host and not bracketed):
        raise ConfigError(key, f"{address!r} is not HOST:PORT (an IPv6 host in brackets)")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError(key, f"{address!r}: the port is not a number from 0 to 65535")


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
    stop_timeout_s: float = _setting(5.0, "seconds that links and clients get to end in order")

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                "node.name",
                f"{self.name!r} is not 1 to 63 letters, digits, '_' and '.', the first no dot",
            )
        if not _NAME.fullmatch(self.network):
            raise ConfigError("node.network", f"{self.network!r} is not 1 to 63 letters, digits, '_' and '.'")
        _positive("node.stop_timeout_s", self.stop_timeout_s)


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
    max_links: int = _setting(128, "links in total")
    max_links_per_address: int = _setting(32, "links from one IP address")
    max_pending_links: int = _setting(64, "links whose handshake is not done")
    target_links: int = _setting(8, "links that discovery dials up to; configured peers come on top")
    handshake_timeout_s: float = _setting(5.0, "seconds for TLS and the proof of identity")
    ping_interval_s: float = _setting(1.0, "seconds between pings of a link")
    dead_peer_timeout_s: float = _setting(10.0, "seconds of silence after which a link is closed")
    reconnect_min_s: float = _setting(0.5, "first wait before a peer is dialled again")
    reconnect_max_s: float = _setting(60.0, "longest wait before a peer is dialled again")
    send_queue_messages: int = _setting(
        1024, "messages waiting on one link; what does not fit is dropped and counted"
    )
    send_queue_bytes: int = _setting(1_048_576, "bytes waiting on one link")
    receive_queue_messages: int = _setting(1024, "decoded messages of one link waiting to be handled")
    max_frame_bytes: int = _setting(65_536, "largest payload of one frame")
    peer_messages_per_s: float = _setting(5_000.0, "messages accepted from one peer, on average")
    peer_bytes_per_s: float = _setting(16_777_216.0, "bytes accepted from one peer, on average")
    seen_vertices: int = _setting(65_536, "vertices remembered so that each is passed on once")
    seen_ttl_s: float = _setting(600.0, "seconds a vertex is remembered")
    max_known_peers: int = _setting(4_096, "peers remembered, linked or not")
    max_origins: int = _setting(4_096, "nodes in the routing map")
    max_hops: int = _setting(16, "relays that a routed message may pass")
    advert_interval_s: float = _setting(30.0, "seconds between link-state adverts when nothing changes")
    routing_probe_interval_s: float = _setting(5.0, "seconds between routed probes of distant nodes; 0: none")
    exchange_interval_s: float = _setting(30.0, "seconds between exchanges of known peers")

    def __post_init__(self) -> None:
        for address in self.listen:
            _host_and_port("overlay.listen", address)
        for address in self.advertise:
            _host_and_port("overlay.advertise", address)
        for peer in self.peers:
            _host_and_port("overlay.peers", peer.rpartition("@")[2])
        for key in (
            "max_links",
            "max_links_per_address",
            "max_pending_links",
            "send_queue_messages",
            "receive_queue_messages",
            "seen_vertices",
            "max_known_peers",
            "max_origins",
        ):
            _at_least(f"overlay.{key}", getattr(self, key), 1)
        for key in (
            "handshake_timeout_s",
            "ping_interval_s",
            "dead_peer_timeout_s",
            "reconnect_min_s",
            "peer_messages_per_s",
            "peer_bytes_per_s",
            "seen_ttl_s",
            "advert_interval_s",
            "exchange_interval_s",
        ):
            _positive(f"overlay.{key}", getattr(self, key))
        _at_least("overlay.target_links", self.target_links, 0)
        _at_least("overlay.routing_probe_interval_s", self.routing_probe_interval_s, 0)
        _at_least("overlay.dead_peer_timeout_s", self.dead_peer_timeout_s, self.ping_interval_s)
        _at_least("overlay.reconnect_max_s", self.reconnect_max_s, self.reconnect_min_s)
        # A vertex (16 KiB of payload, 8 parents, a signature) must fit; the frame's length field is a u32.
        _at_least("overlay.max_frame_bytes", self.max_frame_bytes, 20_480)
        _at_least("overlay.send_queue_bytes", self.send_queue_bytes, self.max_frame_bytes)
        if self.max_frame_bytes > 16_777_216:
            raise ConfigError("overlay.max_frame_bytes", f"{self.max_frame_bytes} is more than 16 MiB")
        if not 1 <= self.max_hops <= 255:
            raise ConfigError("overlay.max_hops", f"{self.max_hops} is not from 1 to 255")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsConfig:
    """What is measured, how often, and against which capacity."""

    recording: bool = _setting(True, "count messages, bytes and latencies")
    interval_s: float = _setting(1.0, "seconds between two samples")
    retention_s: float = _setting(60.0, "seconds that a latency counts in summaries, and a probe in the loss")
    max_peers: int = _setting(10_000, "peers with figures of their own")
    capacity_bits_per_s: float | None = _setting(
        None, "capacity of one direction of the access link; unset: utilization is not shown"
    )
    tcp_info: str = _setting(
        "path", "'path', 'not-of-path' (a relay ends TCP; kept out of diagnostics) or 'off'"
    )

    def __post_init__(self) -> None:
        _at_least("metrics.interval_s", self.interval_s, 0.1)
        _at_least("metrics.retention_s", self.retention_s, 10)
        _at_least("metrics.max_peers", self.max_peers, 1)
        _one_of("metrics.tcp_info", self.tcp_info, ("path", "not-of-path", "off"))
        if self.capacity_bits_per_s is not None:
            _positive("metrics.capacity_bits_per_s", self.capacity_bits_per_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryConfig:
    """How much of the past is kept in memory, per series."""

    points_1s: int = _setting(600, "points at 1 s")
    points_10s: int = _setting(2_160, "points at 10 s")
    points_60s: int = _setting(10_080, "points at 60 s")
    max_series: int = _setting(512, "series, those of peers aside")
    max_peers: int = _setting(100, "peers with series of their own")

    def __post_init__(self) -> None:
        for key in ("points_1s", "points_10s", "points_60s"):
            _at_least(f"history.{key}", getattr(self, key), 2)
        _at_least("history.max_series", self.max_series, 1)
        _at_least("history.max_peers", self.max_peers, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcConfig:
    """Who may ask the node, where, and how much."""

    listen: tuple[str, ...] = _setting(
        (), "addresses besides the socket: tcp://HOST:PORT (loopback only) or tls://HOST:PORT"
    )
    viewer_group: str | None = _setting(None, "a Unix group whose members may read over the socket")
    max_clients: int = _setting(2_048, "clients at once")
    max_clients_per_address: int = _setting(1_024, "clients of one IP address at once")
    handshake_timeout_s: float = _setting(5.0, "seconds until hello and authenticate must be done")
    idle_timeout_s: float = _setting(
        600.0, "seconds without a request, and without a subscription, until a close"
    )
    requests_per_s: float = _setting(2_000.0, "requests of one client, on average")
    request_burst: int = _setting(4_000, "requests of one client at once")
    max_subscriptions: int = _setting(16, "subscriptions of one client")
    min_interval_s: float = _setting(0.1, "shortest interval of a subscription")
    slow_subscriber_timeout_s: float = _setting(
        60.0, "seconds a subscriber may leave a frame unread until a close"
    )
    failures_per_minute: int = _setting(10, "failed authentications of one address per minute")

    def __post_init__(self) -> None:
        for address in self.listen:
            scheme, separator, rest = address.partition("://")
            if not separator or scheme not in {"tcp", "tls"}:
                raise ConfigError("rpc.listen", f"{address!r} is neither tcp://HOST:PORT nor tls://HOST:PORT")
            _host_and_port("rpc.listen", rest.rpartition("@")[2])
        for key in (
            "max_clients",
            "max_clients_per_address",
            "request_burst",
            "max_subscriptions",
            "failures_per_minute",
        ):
            _at_least(f"rpc.{key}", getattr(self, key), 1)
        for key in ("handshake_timeout_s", "idle_timeout_s", "requests_per_s", "slow_subscriber_timeout_s"):
            _positive(f"rpc.{key}", getattr(self, key))
        _at_least("rpc.min_interval_s", self.min_interval_s, 0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """How much is logged, and where to."""

    level: str = _setting("info", "'debug', 'info', 'warning' or 'error'")
    target: str = _setting(
        "auto", "'file' (DIR/node.log), 'stderr', or 'auto': stderr under systemd, else the file"
    )
    file_bytes: int = _setting(4_194_304, "size at which the file is rotated")
    backups: int = _setting(3, "rotated files kept")

    def __post_init__(self) -> None:
        _one_of("log.level", self.level, ("debug", "info", "warning", "error"))
        _one_of("log.target", self.target, ("auto", "file", "stderr"))
        _at_least("log.file_bytes", self.file_bytes, 65_536)
        _at_least("log.backups", self.backups, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabConfig:
    """Set by the lab that starts the node; an operator leaves it alone."""

    faults: bool = _setting(False, "allow the faults that a lab asks for")
    parent_fd: int | None = _setting(None, "a pipe's read end; the node stops when its writer is gone")

    def __post_init__(self) -> None:
        if self.parent_fd is not None:
            _at_least("lab.parent_fd", self.parent_fd, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """Everything a node can be told."""

    node: ProcessConfig = ProcessConfig()
    overlay: OverlayConfig = OverlayConfig()
    metrics: MetricsConfig = MetricsConfig()
    history: HistoryConfig = HistoryConfig()
    rpc: RpcConfig = RpcConfig()
    log: LogConfig = LogConfig()
    lab: LabConfig = LabConfig()
