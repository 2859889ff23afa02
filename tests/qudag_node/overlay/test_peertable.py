"""Peers by id, name, alias, address and prefix; and how many of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.errors import AmbiguousError, NotFoundError
from qudag_node.metrics import MetricsCollector
from qudag_node.overlay.endpoints import Endpoint
from qudag_node.overlay.frames import FRAME_NAMES
from qudag_node.overlay.peertable import Peer, PeerState, PeerTable
from qudag_node.peerid import PeerId, peer_id_of

OWN = peer_id_of(bytes(32))
IDS = [peer_id_of(bytes([number]) * 32) for number in range(1, 8)]


def table_of(limit: int = 100) -> PeerTable:
    return PeerTable(MetricsCollector(message_types=FRAME_NAMES), own_id=OWN, limit=limit)


def known(table: PeerTable, number: int, now_mono_s: float = 0.0) -> Peer:
    peer = table.open(IDS[number], now_mono_s)
    assert peer is not None
    return peer


@pytest.fixture
def table() -> PeerTable:
    table = table_of()
    known(table, 0).name = "peer1"
    known(table, 1).name = "peer2"
    known(table, 2).name = "twin"
    known(table, 3).name = "twin"
    known(table, 4).alias = "peer2"
    known(table, 0).note_endpoint(Endpoint("192.0.2.1", 8000))
    known(table, 1).note_endpoint(Endpoint("192.0.2.1", 8001))
    known(table, 2).note_endpoint(Endpoint("2001:db8::1", 8000))
    return table


def test_an_id_a_name_an_alias_an_address_and_a_prefix_find_a_peer(table: PeerTable) -> None:
    assert table.resolve(IDS[6 - 6]) == IDS[0]
    assert table.resolve("peer1") == IDS[0]
    assert table.resolve("192.0.2.1:8001") == IDS[1]
    assert table.resolve("[2001:db8::1]:8000") == IDS[2]
    assert table.resolve("2001:db8::1") == IDS[2]
    assert table.resolve(IDS[3][:20]) == IDS[3]


def test_our_operators_alias_counts_before_a_strangers_name(table: PeerTable) -> None:
    assert table.resolve("peer2") == IDS[4]


@pytest.mark.parametrize("text", ["", "nobody", "12D3KooW", "12D3Koo", IDS[6], "192.0.2.9"])
def test_what_fits_nobody_is_an_error_that_says_so(table: PeerTable, text: str) -> None:
    with pytest.raises(NotFoundError, match="no peer is known as"):
        table.resolve(text)


def test_what_fits_several_names_them(table: PeerTable) -> None:
    with pytest.raises(AmbiguousError) as caught:
        table.resolve("twin")
    assert caught.value.candidates == (f"twin ({IDS[2]})", f"twin ({IDS[3]})")
    with pytest.raises(AmbiguousError):
        table.resolve("192.0.2.1")


def test_we_are_no_peer_of_ours() -> None:
    assert table_of().open(OWN, 0.0) is None


def test_a_full_table_forgets_the_idle_peer_that_was_seen_longest_ago() -> None:
    table = table_of(limit=3)
    for number in range(3):
        known(table, number, now_mono_s=float(number))
    known(table, 0).state = PeerState.CONNECTED
    assert table.open(IDS[3], 5.0) is not None
    assert {peer.id for peer in table} == {IDS[0], IDS[2], IDS[3]}


def test_for_who_is_only_heard_of_nobody_is_forgotten() -> None:
    table = table_of(limit=2)
    assert table.hear_of(IDS[0], 0.0) is not None
    known(table, 1)
    assert table.hear_of(IDS[2], 5.0) is None
    again = table.hear_of(IDS[0], 6.0)
    assert again is not None
    assert again.seen_mono_s == 6.0
    assert table.hear_of(OWN, 0.0) is None


def test_a_table_full_of_needed_peers_takes_no_more() -> None:
    table = table_of(limit=2)
    known(table, 0).alias = "friend"
    known(table, 1).state = PeerState.CONNECTED
    assert table.open(IDS[2], 0.0) is None
    assert len(table) == 2


def test_peers_nobody_has_heard_of_for_long_are_forgotten() -> None:
    table = table_of()
    for number in range(4):
        known(table, number, now_mono_s=float(number))
    known(table, 1, 1.0).state = PeerState.BANNED
    table.forget_unseen(3.0, 100.0, needed={IDS[0]})
    assert {peer.id for peer in table} == {IDS[0], IDS[1], IDS[3]}


def test_the_newest_address_comes_first_and_few_are_kept() -> None:
    peer = known(table_of(), 0)
    for port in (1, 2, 3, 4, 5, 3):
        peer.note_endpoint(Endpoint("h", port))
    assert [endpoint.port for endpoint in peer.endpoints] == [3, 5, 4, 2]
    assert peer.address == "h:3"


def test_publishing_shows_a_peer_in_the_statistics() -> None:
    table = table_of()
    peer = known(table, 0)
    peer.name, peer.alias, peer.hops = "peer1", "bob", 2
    table.publish(peer)
    assert (peer.handle.labels.name, peer.handle.labels.alias, peer.handle.labels.hops) == ("peer1", "bob", 2)
    assert peer.shown_name == "bob"
    peer.alias = peer.name = ""
    assert peer.shown_name == f"…{peer.id[-8:]}"


@given(st.text(max_size=60))
def test_no_text_breaks_resolve(text: str) -> None:
    table = table_of()
    known(table, 0).name = "peer1"
    try:
        assert table.resolve(text) in IDS
    except (NotFoundError, AmbiguousError) as exc:
        assert "\n" not in str(exc)


def test_ids_are_what_peer_id_of_gives() -> None:
    assert all(isinstance(peer_id, str) and peer_id.startswith("12D3KooW") for peer_id in map(PeerId, IDS))
