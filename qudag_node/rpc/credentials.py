"""Who is at the other end of a Unix socket, as the kernel tells it, and which role that gives."""

from __future__ import annotations

import grp
import os
import pwd
import socket
import struct
import sys
from dataclasses import dataclass

from qudag_node.errors import ConfigError
from qudag_node.wire.methods import Role

__all__ = ["PeerCredentials", "group_id", "peer_credentials", "role_of"]

# macOS: getsockopt level 0 (SOL_LOCAL), option LOCAL_PEERCRED, struct xucred; sys/ucred.h.
_LOCAL_PEERCRED = 1
_XUCRED = struct.Struct("=IIh2x16I")
_UCRED = struct.Struct("=iII")


@dataclass(frozen=True, slots=True)
class PeerCredentials:
    """The user and primary group of the process that connected."""

    user_id: int
    group_id: int


def peer_credentials(channel: socket.socket) -> PeerCredentials:
    """Return who connected.

    Raises:
        OSError: The kernel does not tell.
    """
    if sys.platform == "darwin":
        _, user_id, _, group_id, *_ = _XUCRED.unpack(channel.getsockopt(0, _LOCAL_PEERCRED, _XUCRED.size))
    else:
        _, user_id, group_id = _UCRED.unpack(
            channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        )
    return PeerCredentials(user_id, group_id)


def role_of(peer: PeerCredentials, viewer_group: int | None) -> Role | None:
    """Return the role of a local user, None to refuse: the node's own user and root are admin."""
    if peer.user_id in {0, os.geteuid()}:
        return Role.ADMIN
    if viewer_group is not None and _is_member(peer, viewer_group):
        return Role.VIEWER
    return None


def group_id(name: str) -> int:
    """Return the number of a group.

    Raises:
        ConfigError: There is no such group.
    """
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):  # the latter from a name with a zero byte
        raise ConfigError("rpc.viewer_group", f"there is no group {name!r} on this host") from None


def _is_member(peer: PeerCredentials, group: int) -> bool:
    if peer.group_id == group:
        return True
    try:
        name = pwd.getpwuid(peer.user_id).pw_name
    except KeyError:
        return False
    return group in os.getgrouplist(name, peer.group_id)
