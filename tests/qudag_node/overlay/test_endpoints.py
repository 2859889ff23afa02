"""HOST:PORT and [PEERID@]HOST:PORT."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.errors import ConfigError
from qudag_node.overlay.endpoints import Endpoint, PeerEndpoint, parse_endpoint, parse_peer
from qudag_node.peerid import peer_id_of

PEER = peer_id_of(bytes(range(32)))


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("192.0.2.1:8000", Endpoint("192.0.2.1", 8000)),
        ("example.org:1", Endpoint("example.org", 1)),
        ("[::1]:65535", Endpoint("::1", 65535)),
        ("0.0.0.0:0", Endpoint("0.0.0.0", 0)),
    ],
)
def test_an_address_is_read_and_written_alike(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text) == endpoint
    assert str(endpoint) == text
    assert parse_peer(text) == PeerEndpoint(endpoint)
    with_id = f"{PEER}@{text}"
    assert parse_peer(with_id) == PeerEndpoint(endpoint, PEER)
    assert str(parse_peer(with_id)) == with_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host",
        ":80",
        "host:",
        "host:x",
        "host:65536",
        "host:-1",
        "::1:80",
        "[::1]80",
        "[host]:80",
        "a b:80",
        "a/b:80",
        "h\x1bost:80",
        "x" * 300 + ":80",
        "host:٣",
    ],
)
def test_anything_else_is_one_clear_line(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_endpoint(text)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("peer_id", ["", "nobody", PEER[:-1], PEER + "x", "a@b"])
def test_a_wrong_identity_is_refused(peer_id: str) -> None:
    with pytest.raises(ConfigError):
        parse_peer(f"{peer_id}@192.0.2.1:8000")


@pytest.mark.parametrize(
    ("text", "is_numeric", "is_unspecified"),
    [
        ("0.0.0.0:1", True, True),
        ("[::]:1", True, True),
        ("127.0.0.1:1", True, False),
        ("example.org:1", False, False),
    ],
)
def test_addresses_that_stand_for_all_are_told(text: str, is_numeric: bool, is_unspecified: bool) -> None:
    endpoint = parse_endpoint(text)
    assert (endpoint.is_numeric, endpoint.is_unspecified) == (is_numeric, is_unspecified)


@given(st.text(max_size=80))
def test_no_text_breaks_it(text: str) -> None:
    with suppress(ConfigError):
        assert parse_peer(str(parse_peer(text))) == parse_peer(text)
