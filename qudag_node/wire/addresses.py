"""Where a node's RPC listens, as people write it.

    unix:PATH                      a socket of this machine
    tcp://HOST:PORT                plain TCP, on loopback only
    tls://[PEERID@]HOST:PORT       TLS; the certificate must carry the key of PEERID

IPv6 hosts stand in brackets. Nothing is resolved here.
"""

from __future__ import annotations

from qudag_node.peerid import PeerId, public_key_of
from qudag_node.wire._values import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Transport = Literal["unix", "tcp", "tls"]

__all__ = ["NodeAddress", "TcpAddress", "TlsAddress", "UnixAddress", "parse_address"]

_LARGEST_PORT = 65535
_LONGEST_HOST = 255


@value
class UnixAddress:
    """A Unix socket."""

    path: str

    @property
    def transport(self) -> Transport:
        """What carries the bytes."""
        return "unix"

    def __str__(self) -> str:
        return f"unix:{self.path}"


@value
class TcpAddress:
    """A TCP port. ``host`` is a name or a number without brackets; port 0 asks for a free one."""

    host: str
    port: int

    @property
    def transport(self) -> Transport:
        """What carries the bytes."""
        return "tcp"

    def __str__(self) -> str:
        return f"tcp://{_host_port(self.host, self.port)}"


@value
class TlsAddress:
    """A TLS port, and the node it must belong to; without ``peer_id`` a client refuses to connect."""

    host: str
    port: int
    peer_id: PeerId | None = None

    @property
    def transport(self) -> Transport:
        """What carries the bytes."""
        return "tls"

    def __str__(self) -> str:
        identity = f"{self.peer_id}@" if self.peer_id else ""
        return f"tls://{identity}{_host_port(self.host, self.port)}"


NodeAddress = UnixAddress | TcpAddress | TlsAddress


def parse_address(text: str) -> NodeAddress:
    """Read an address.

    Raises:
        ValueError: it is none; the text says what is wrong and how it should look.
    """
    if text.startswith("unix:"):
        # unix:///run/x is what other programs write.
        path = text.removeprefix("unix:")
        path = path.removeprefix("//") if path.startswith("///") else path
        if not path or "\0" in path:
            raise ValueError(f"{text!r} names no socket; write unix:PATH")
        return UnixAddress(path)
    if text.startswith("tcp://"):
        return TcpAddress(*_parse_host_port(text, text.removeprefix("tcp://")))
    if text.startswith("tls://"):
        identity, at, rest = text.removeprefix("tls://").rpartition("@")
        host, port = _parse_host_port(text, rest)
        if not at:
            return TlsAddress(host, port)
        public_key_of(identity)
        return TlsAddress(host, port, PeerId(identity))
    raise ValueError(f"{text!r} is no address; write unix:PATH, tcp://HOST:PORT or tls://PEERID@HOST:PORT")


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _parse_host_port(whole: str, text: str) -> tuple[str, int]:
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]:")
        if not bracket or ":" not in host:
            raise ValueError(f"{whole!r} has no IPv6 host in its brackets; write [::1]:PORT")
    else:
        host, _, port = text.rpartition(":")
        if ":" in host:
            raise ValueError(f"{whole!r} has an IPv6 host without brackets; write [{host}]:{port}")
    if (
        not host
        or len(host) > _LONGEST_HOST
        or any(c.isspace() or not c.isprintable() or c in "/@[]" for c in host)
    ):
        raise ValueError(f"{whole!r} has no valid host; write HOST:PORT")
    if not (
        port.isascii()
        and port.isdigit()
        and len(port) <= len(str(_LARGEST_PORT))
        and int(port) <= _LARGEST_PORT
    ):
        raise ValueError(f"{whole!r} has no valid port; it is a number up to {_LARGEST_PORT}")
    return host, int(port)
