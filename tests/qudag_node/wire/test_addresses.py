"""Addresses read back as they are written, and what is none is explained."""

import pytest

from qudag_node.peerid import PeerId
from qudag_node.wire import NodeAddress, TcpAddress, TlsAddress, UnixAddress, parse_address

ID = PeerId("12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq")


@pytest.mark.parametrize(
    ("text", "address", "transport"),
    [
        ("unix:/run/x/rpc.sock", UnixAddress("/run/x/rpc.sock"), "unix"),
        ("unix:here.sock", UnixAddress("here.sock"), "unix"),
        ("tcp://127.0.0.1:4001", TcpAddress("127.0.0.1", 4001), "tcp"),
        ("tcp://[::1]:0", TcpAddress("::1", 0), "tcp"),
        ("tcp://[fe80::1%eth0]:65535", TcpAddress("fe80::1%eth0", 65535), "tcp"),
        (f"tls://{ID}@node.example:4002", TlsAddress("node.example", 4002, ID), "tls"),
        (f"tls://{ID}@[2001:db8::1]:4002", TlsAddress("2001:db8::1", 4002, ID), "tls"),
        ("tls://node.example:4002", TlsAddress("node.example", 4002), "tls"),
    ],
)
def test_an_address_reads_back_as_written(text: str, address: NodeAddress, transport: str) -> None:
    assert parse_address(text) == address
    assert str(address) == text
    assert address.transport == transport
    assert hash(parse_address(text)) == hash(address)


def test_three_slashes_name_the_same_socket() -> None:
    assert parse_address("unix:///run/x") == UnixAddress("/run/x")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is no address"),
        ("peer1", "is no address"),
        ("http://127.0.0.1:80", "is no address"),
        ("unix:", "names no socket"),
        ("unix:a\0b", "names no socket"),
        ("tcp://127.0.0.1", "host"),
        ("tcp://:4001", "host"),
        ("tcp://::1:4001", "brackets"),
        ("tcp://[::1]", "brackets"),
        ("tcp://[127.0.0.1]:80", "brackets"),
        ("tcp://a b:80", "host"),
        ("tcp://a\u202eb:80", "host"),
        ("tcp://user@host:80", "host"),
        ("tcp://host:", "port"),
        ("tcp://host:65536", "port"),
        ("tcp://host:-1", "port"),
        ("tcp://host:８０", "port"),
        ("tcp://host:" + "9" * 5000, "port"),
        (f"tls://x{ID}@host:80", "PeerId|base58"),
        ("tls://@host:80", "PeerId"),
    ],
)
def test_other_texts_are_explained(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_address(text)
