"""Where clients may connect to, and what is found there before."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from qudag_node.errors import ConfigError, DataDirectoryError, PortInUseError
from qudag_node.rpc.listeners import UnixListener, bind_tcp, checked_addresses, private_directory
from qudag_node.wire.addresses import TcpAddress, TlsAddress
from tests.needs import has_ipv6, need


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "d" / "rpc.sock"


def test_the_directory_is_private_before_the_socket_is_there(place: Path) -> None:
    listener = UnixListener(place)
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    listener.socket.close()
    listener.remove()
    listener.remove()
    assert not place.exists()


def test_a_viewer_group_may_reach_the_socket_and_nothing_else(place: Path) -> None:
    group = os.getgid()
    listener = UnixListener(place, group=group)
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o710
    assert stat.S_IMODE(place.stat().st_mode) == 0o660
    assert place.stat().st_gid == place.parent.stat().st_gid == group
    listener.socket.close()


def test_a_socket_that_nobody_answers_is_replaced(place: Path) -> None:
    UnixListener(place).socket.close()
    assert place.exists()
    second = UnixListener(place)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(place))
    second.socket.close()


def test_a_socket_that_somebody_answers_is_not(place: Path) -> None:
    first = UnixListener(place)
    with pytest.raises(PortInUseError, match="answers on this socket already"):
        UnixListener(place)
    first.socket.close()


def test_a_socket_that_was_replaced_is_not_removed(place: Path) -> None:
    first = UnixListener(place)
    first.socket.close()
    second = UnixListener(place)
    first.remove()
    assert place.exists()
    second.socket.close()


@pytest.mark.parametrize(
    "make", [lambda p: p.write_text("x"), lambda p: p.mkdir(), lambda p: p.symlink_to("x")]
)
def test_what_is_no_socket_is_left_alone(place: Path, make: object) -> None:
    assert callable(make)
    place.parent.mkdir(mode=0o700)
    make(place)
    with pytest.raises(DataDirectoryError, match="is no socket"):
        UnixListener(place)
    assert place.is_symlink() or place.exists()


def test_a_link_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(DataDirectoryError, match="not a directory of this user"):
        private_directory(tmp_path / "link")


@pytest.mark.parametrize(
    "text", ["tcp://127.0.0.1:0", "tcp://[::1]:1", "tcp://localhost:1", "tls://0.0.0.0:1"]
)
def test_loopback_for_tcp_and_anywhere_for_tls(text: str) -> None:
    (address,) = checked_addresses((text,))
    assert str(address) == text


@pytest.mark.parametrize("text", ["tcp://0.0.0.0:1", "tcp://192.0.2.1:1", "tcp://[::]:1", "tcp://host:1"])
def test_plain_tcp_beyond_loopback_is_refused_with_what_to_do(text: str) -> None:
    with pytest.raises(ConfigError, match="beyond it use tls://"):
        checked_addresses((text,))


@pytest.mark.parametrize("text", ["unix:/x", "x", "tls://host", "tcp://127.0.0.1:99999"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        checked_addresses((text,))


def test_a_port_in_use_is_told_apart_from_a_foreign_address() -> None:
    first = bind_tcp(TcpAddress("127.0.0.1", 0))
    port = first.getsockname()[1]
    with pytest.raises(PortInUseError, match="in use"):
        bind_tcp(TlsAddress("127.0.0.1", port))
    first.close()
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1"):
        bind_tcp(TlsAddress("192.0.2.1", 1))


def test_ipv6_is_bound_without_ipv4() -> None:
    need(has_ipv6(), "a loopback address of IPv6")
    listener = bind_tcp(TcpAddress("::1", 0))
    assert listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
    listener.close()
