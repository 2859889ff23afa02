"""Addresses, routes and devices of a network namespace, without any external tool.

    0           4        6        8          12         16
    +-----------+--------+--------+----------+----------+---------------------+---------------+
    | length u32| type   | flags  | sequence | port     | header of the type  | attributes    |
    +-----------+--------+--------+----------+----------+---------------------+---------------+

An attribute is ``length u16 | type u16 | value``, padded to 4 bytes. Host byte order. Source: rtnetlink(7),
linux/rtnetlink.h, linux/if_link.h.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Self

__all__ = ["Rtnetlink"]

_NLMSGHDR = struct.Struct("=IHHII")
_RTATTR = struct.Struct("=HH")
_IFINFOMSG = struct.Struct("=BxHiII")
_IFADDRMSG = struct.Struct("=BBBBI")
_RTMSG = struct.Struct("=BBBBBBBBI")
#: rtnl_link_stats64 begins with eight u64: rx and tx packets, bytes, errors, dropped.
_STATS64 = struct.Struct("=8Q")

_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_RTM_NEWLINK, _RTM_GETLINK, _RTM_NEWADDR, _RTM_NEWROUTE = 16, 18, 20, 24
_REQUEST, _ACK, _EXCLUSIVE, _CREATE = 0x1, 0x4, 0x200, 0x400
_IFLA_IFNAME, _IFLA_MTU, _IFLA_TXQLEN, _IFLA_STATS64 = 3, 4, 13, 23
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_PREFSRC = 1, 4, 7
_IFF_UP = 1
_TABLE_MAIN, _PROTO_STATIC, _SCOPE_LINK, _TYPE_UNICAST = 254, 4, 253, 1


class Rtnetlink:
    """A socket to the kernel's network configuration of the namespace it was opened in.

    The socket stays with that namespace when the process moves on.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def up(self, index: int, *, mtu: int | None = None, queue_packets: int | None = None) -> None:
        """Switch a device on; set its MTU, and how many packets may wait to be read from it.

        Raises:
            OSError: What the kernel said.
        """
        attributes = b""
        if mtu is not None:
            attributes += _attribute(_IFLA_MTU, struct.pack("=I", mtu))
        if queue_packets is not None:
            attributes += _attribute(_IFLA_TXQLEN, struct.pack("=I", queue_packets))
        header = _IFINFOMSG.pack(socket.AF_UNSPEC, 0, index, _IFF_UP, _IFF_UP)
        self._request(_RTM_NEWLINK, 0, header + attributes)

    def add_address(self, index: int, address: str) -> None:
        """Give a device one IPv4 address, as /32.

        Raises:
            OSError: What the kernel said.
        """
        packed = socket.inet_aton(address)
        header = _IFADDRMSG.pack(socket.AF_INET, 32, 0, 0, index)
        attributes = _attribute(_IFA_LOCAL, packed) + _attribute(_IFA_ADDRESS, packed)
        self._request(_RTM_NEWADDR, _CREATE | _EXCLUSIVE, header + attributes)

    def add_route(self, index: int, destination: str, *, source: str) -> None:
        """Send packets to one IPv4 address through a device, from ``source``.

        Raises:
            OSError: What the kernel said.
        """
        header = _RTMSG.pack(
            socket.AF_INET, 32, 0, 0, _TABLE_MAIN, _PROTO_STATIC, _SCOPE_LINK, _TYPE_UNICAST, 0
        )
        attributes = (
            _attribute(_RTA_DST, socket.inet_aton(destination))
            + _attribute(_RTA_OIF, struct.pack("=i", index))
            + _attribute(_RTA_PREFSRC, socket.inet_aton(source))
        )
        self._request(_RTM_NEWROUTE, _CREATE | _EXCLUSIVE, header + attributes)

    def dropped_packets(self, index: int) -> int:
        """Packets that the kernel dropped because nobody read them from the device in time.

        Raises:
            OSError: What the kernel said.
        """
        header = _IFINFOMSG.pack(socket.AF_UNSPEC, 0, index, 0, 0)
        reply = self._request(_RTM_GETLINK, 0, header, acknowledge=False)
        for kind, value in _attributes(reply[_IFINFOMSG.size :]):
            if kind == _IFLA_STATS64:
                return int(_STATS64.unpack_from(value)[7])
        return 0

    def _request(self, kind: int, flags: int, body: bytes, *, acknowledge: bool = True) -> bytes:
        """Send one request; return the body of its reply, empty for a bare acknowledgement."""
        self._sequence += 1
        flags |= _REQUEST | (_ACK if acknowledge else 0)
        length = _NLMSGHDR.size + len(body)
        self._socket.send(_NLMSGHDR.pack(length, kind, flags, self._sequence, 0) + body)
        while True:
            reply = self._socket.recv(65536)
            length, kind, _, sequence, _ = _NLMSGHDR.unpack_from(reply)
            if sequence != self._sequence:
                continue
            content = reply[_NLMSGHDR.size : length]
            if kind == _NLMSG_ERROR:
                (code,) = struct.unpack_from("=i", content)
                if code:
                    raise OSError(-code, f"rtnetlink: {os.strerror(-code)}")
                return b""
            return content if kind != _NLMSG_DONE else b""


def _attribute(kind: int, value: bytes) -> bytes:
    length = _RTATTR.size + len(value)
    return _RTATTR.pack(length, kind) + value + bytes(-length % 4)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + _RTATTR.size <= len(data):
        length, kind = _RTATTR.unpack_from(data, offset)
        if length < _RTATTR.size:
            return
        yield kind, data[offset + _RTATTR.size : offset + length]
        offset += length + (-length % 4)
