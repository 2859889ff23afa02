"""The sockets that clients connect to: where they may be, and what they leave behind."""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

from qudag_node.errors import ConfigError, DataDirectoryError, PortInUseError
from qudag_node.wire.addresses import NodeAddress, TcpAddress, TlsAddress, parse_address

__all__ = [
    "BACKLOG",
    "UnixListener",
    "bind_tcp",
    "checked_addresses",
    "is_answered",
    "private_directory",
]

_log = logging.getLogger(__name__)

# asyncio listens anew with the number it is given, and its default of 100 is soon full.
BACKLOG = 1024
_ANSWER_TIMEOUT_S = 1.0


def checked_addresses(texts: tuple[str, ...]) -> tuple[TcpAddress | TlsAddress, ...]:
    """Read ``rpc.listen``.

    Raises:
        ConfigError: An address is none, or is plain TCP beyond loopback.
    """
    return tuple(_checked(text) for text in texts)


def bind_tcp(address: TcpAddress | TlsAddress) -> socket.socket:
    """Return a listening socket.

    Raises:
        PortInUseError: Somebody else listens there.
        ConfigError: The host is none of this machine.
    """
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as exc:  # the latter from a name that no resolver takes
        why = getattr(exc, "strerror", None) or exc
        raise ConfigError("rpc.listen", f"{address}: {why}") from exc
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(where)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as exc:
        listener.close()
        if exc.errno == errno.EADDRINUSE:
            raise PortInUseError(f"{address}: the port is in use; choose another with --rpc") from exc
        raise ConfigError("rpc.listen", f"{address}: {exc.strerror}") from exc
    return listener


class UnixListener:
    """The socket in the file system; ``close`` removes it unless somebody replaced it."""

    def __init__(self, path: Path, *, group: int | None = None) -> None:
        """Bind, in a directory that is made private first; a socket that nobody answers is replaced.

        Raises:
            PortInUseError: Somebody answers on the socket.
            DataDirectoryError: The directory is not ours, or the socket cannot be made.
        """
        self.path = path
        private_directory(path.parent, group=group)
        if path.is_symlink() or path.exists():
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise DataDirectoryError(f"{path}: is in the way and is no socket; remove it")
            if is_answered(path):
                raise PortInUseError(f"{path}: a node answers on this socket already; stop it first")
            path.unlink()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.socket.bind(str(path))
            if group is not None:
                os.chown(path, -1, group)
            path.chmod(0o600 if group is None else 0o660)
            self.socket.listen(BACKLOG)
            self.socket.setblocking(False)
            self._bound = _identity(path)
        except OSError as exc:
            self.socket.close()
            path.unlink(missing_ok=True)
            raise DataDirectoryError(f"{path}: the socket cannot be made: {exc.strerror}") from exc

    def remove(self) -> None:
        """Remove the socket's name; the second time does nothing."""
        with suppress(FileNotFoundError):
            if _identity(self.path) == self._bound:
                self.path.unlink()


def is_answered(path: Path) -> bool:
    """Tell whether somebody accepts connections on a Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_ANSWER_TIMEOUT_S)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError as exc:
            _log.debug("%s: %s", path, exc)
    return True


def private_directory(path: Path, *, group: int | None = None) -> None:
    """Make a directory that nobody else can enter, but a group where one is given.

    Raises:
        DataDirectoryError: It is somebody else's, or no directory.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise DataDirectoryError(
                f"{path}: is not a directory of this user (uid {os.geteuid()}); set XDG_RUNTIME_DIR to one"
            )
        mode = 0o700 if group is None else 0o710
        if group is not None:
            os.chown(path, -1, group)
        if stat.S_IMODE(status.st_mode) != mode:
            path.chmod(mode)
    except OSError as exc:
        raise DataDirectoryError(f"{path}: cannot be made private: {exc.strerror}") from exc


def _identity(path: Path) -> tuple[int, int]:
    """Return what tells a file from its successor, which may get the same inode number."""
    status = path.lstat()
    return status.st_ino, status.st_ctime_ns


def _checked(text: str) -> TcpAddress | TlsAddress:
    try:
        address: NodeAddress = parse_address(text)
    except ValueError as exc:
        raise ConfigError("rpc.listen", str(exc)) from None
    match address:
        case TcpAddress(host) if not _is_loopback(host):
            raise ConfigError(
                "rpc.listen",
                f"{text}: plain TCP is served on loopback only; beyond it use tls://{host}:{address.port}",
            )
        case TcpAddress() | TlsAddress():
            return address
        case _:
            raise ConfigError("rpc.listen", f"{text!r} is neither tcp:// nor tls://")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
