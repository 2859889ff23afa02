"""Where nodes are: HOST:PORT, IPv6 in brackets, with the PeerId that must answer where one is known."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from qudag_node.errors import ConfigError
from qudag_node.peerid import PeerId, public_key_of

__all__ = ["Endpoint", "PeerEndpoint", "leads_to", "parse_endpoint", "parse_peer"]

_MAX_HOST_CHARS = 253


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """A host, by name or number, and a TCP port. ``str`` gives what ``parse_endpoint`` takes."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_numeric(self) -> bool:
        """Whether the host is an IP address."""
        try:
            ip_address(self.host)
        except ValueError:
            return False
        return True

    @property
    def is_unspecified(self) -> bool:
        """Whether it stands for every address of its machine, as 0.0.0.0 and :: do."""
        return self.is_numeric and ip_address(self.host).is_unspecified

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine and can be nothing else."""
        return self.host == "localhost" or (self.is_numeric and ip_address(self.host).is_loopback)


@dataclass(frozen=True, slots=True)
class PeerEndpoint:
    """Where a peer listens, and who must answer; None to take whoever does."""

    endpoint: Endpoint
    peer_id: PeerId | None = None

    def __str__(self) -> str:
        return str(self.endpoint) if self.peer_id is None else f"{self.peer_id}@{self.endpoint}"


def leads_to(dialled: Endpoint, listening: Endpoint) -> bool:
    """Tell whether who dials one address plainly reaches the other, on the same machine; asks no resolver."""
    if dialled.port != listening.port or dialled.port == 0:
        return False
    if dialled.host.lower() == listening.host.lower():
        return True
    if listening.is_unspecified:
        return dialled.is_loopback or dialled.is_unspecified
    return listening.is_loopback and (dialled.host == "localhost" or dialled.is_unspecified)


def parse_endpoint(text: str) -> Endpoint:
    """Read HOST:PORT or [HOST]:PORT.

    Raises:
        ConfigError: It is neither.
    """
    host, colon, port = text.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if is_bracketed else host
    if not colon or not host or (":" in host) != is_bracketed or len(host) > _MAX_HOST_CHARS:
        raise ConfigError(repr(text), "is not HOST:PORT (an IPv6 host in brackets)")
    if not (port.isascii() and port.isdigit() and int(port) <= 0xFFFF):
        raise ConfigError(repr(text), "the port is not a number from 0 to 65535")
    if not host.isprintable() or any(char in host for char in " /@[]"):
        raise ConfigError(repr(text), "the host has characters that no host has")
    return Endpoint(host, int(port))


def parse_peer(text: str) -> PeerEndpoint:
    """Read [PEERID@]HOST:PORT.

    Raises:
        ConfigError: It is not that.
    """
    peer_id, at, address = text.rpartition("@")
    if not at:
        return PeerEndpoint(parse_endpoint(address))
    try:
        public_key_of(peer_id)
    except ValueError as exc:
        raise ConfigError(repr(text), str(exc)) from exc
    return PeerEndpoint(parse_endpoint(address), PeerId(peer_id))
