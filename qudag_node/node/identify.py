"""``qudag id``: PEERID@HOST:PORT for every address at which a peer may find this node."""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from qudag_node.config import LoadedConfig
from qudag_node.errors import DataDirectoryError
from qudag_node.node.ask import running_node
from qudag_node.overlay.identity import KEY_FILE_NAME, load_or_create_identity
from qudag_node.wire.errors import WireError

__all__ = ["dialable_address", "identity_lines"]


def identity_lines(loaded: LoadedConfig, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines to give to a peer; the identity is made if there is none yet.

    Raises:
        NodeError: The key is damaged or cannot be written.
    """
    overlay = loaded.config.overlay
    directory = loaded.config.node.data_dir
    assert directory is not None, "the command line fills it in"  # noqa: S101
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise DataDirectoryError(f"{directory}: cannot be made: {exc.strerror}") from exc
    if not (directory / KEY_FILE_NAME).exists():
        _say(f"there was no identity in {directory} yet; this is a new one")
    identity = load_or_create_identity(directory)
    # What the running node was told may be a flag, which stands in no file.
    for address in _of_running(directory, environ) or overlay.advertise or overlay.listen:
        dialable = dialable_address(address)
        if address.endswith(":0"):
            _say(f"{address}: the port is known while the node runs")
        elif dialable is None:
            _say(f"{address}: set overlay.advertise to the address that peers reach this host at")
        else:
            yield f"{identity.peer_id}@{dialable}"


def dialable_address(address: str) -> str | None:
    """Return what a peer can dial: a wildcard becomes the address that this host uses towards the world.

    None if there is none, or the host has no way there.
    """
    host, _, port = address.rpartition(":")
    reachable = _reachable_host(host.strip("[]"))
    return None if reachable is None or port == "0" else f"{reachable}:{port}"


def _say(text: str) -> None:
    print(f"qudag id: {text}", file=sys.stderr)  # noqa: T201  # stderr is talk


def _of_running(directory: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return what the running node of this directory tells other nodes; nothing if none answers."""
    try:
        with running_node(directory, environ) as node:
            return tuple(cast("list[str]", node.call("status")["advertise"]))
    except (OSError, WireError):
        return ()


def _reachable_host(host: str) -> str | None:
    """Return the host; for a wildcard the address this host uses towards the world."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        found = _own_address(socket.AF_INET6 if address.version == 6 else socket.AF_INET)
        if found is None:
            return None
        address = found
    return f"[{address}]" if address.version == 6 else str(address)


def _own_address(family: int) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    # Connecting a datagram socket sends nothing; it only asks the kernel which way it would go.
    somewhere = "2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1"
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((somewhere, 9))
            return ipaddress.ip_address(probe.getsockname()[0])
    except OSError:
        return None
