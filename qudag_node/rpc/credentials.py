"""Who is at the other end of a Unix socket, as the kernel tells it, and which role that gives."""

from __future__ import annotations

import grp
import logging
import os
import socket
import struct
import sys
from dataclasses import dataclass

from qudag_node.errors import ConfigError
from qudag_node.wire.methods import Role

__all__ = ["PeerCredentials", "group_id", "peer_credentials", "role_of"]

_log = logging.getLogger(__name__)

# macOS: getsockopt level 0 (SOL_LOCAL), option LOCAL_PEERCRED, struct xucred; sys/ucred.h.
_LOCAL_PEERCRED = 1
_XUCRED = struct.Struct("=IIh2x16I")
_UCRED = struct.Struct("=iII")
# Linux: socket(7), asm-generic/socket.h; Python has no name for it, and takes at most 1,024 bytes.
_SO_PEERGROUPS = 59
_MOST_GROUPS = 256


@dataclass(frozen=True, slots=True)
class PeerCredentials:
    """The user and the groups of the process that connected.

    From the kernel, not from the host's database of users: that may be a directory server far away, and
    the event loop would wait for it.
    """

    user_id: int
    group_ids: frozenset[int]


def peer_credentials(channel: socket.socket) -> PeerCredentials:
    """Return who connected.

    Raises:
        OSError: The kernel does not tell.
    """
    if sys.platform == "darwin":
        _, user_id, count, *groups = _XUCRED.unpack(channel.getsockopt(0, _LOCAL_PEERCRED, _XUCRED.size))
        return PeerCredentials(user_id, frozenset(groups[:count]))
    _, user_id, group_id = _UCRED.unpack(
        channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    )
    return PeerCredentials(user_id, frozenset({group_id, *_further_groups(channel)}))


def role_of(peer: PeerCredentials, viewer_group: int | None) -> Role | None:
    """Return the role of a local user, None to refuse: the node's own user and root are admin."""
    if peer.user_id in {0, os.geteuid()}:
        return Role.ADMIN
    return Role.VIEWER if viewer_group in peer.group_ids else None


def group_id(name: str) -> int:
    """Return the number of a group.

    Raises:
        ConfigError: There is no such group.
    """
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):  # the latter from a name with a zero byte
        raise ConfigError("rpc.viewer_group", f"there is no group {name!r} on this host") from None


def _further_groups(channel: socket.socket) -> tuple[int, ...]:
    """Return the supplementary groups; none where more than fit, or from a kernel older than 4.13."""
    try:
        found = channel.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _MOST_GROUPS)
    except OSError as exc:
        _log.debug("the groups of a client are not told: %s", exc)
        return ()
    return struct.unpack(f"={len(found) // 4}I", found)
