from __future__ import annotations

from array import array
from math import isnan, nan

from hypothesis import given
from hypothesis import strategies as st

from qudag_tui.model.peers import Peers, natural_key


def test_cells_know_what_is_not_known() -> None:
    peers = Peers(("a", "b"), {"name": ("x", "y")}, {"rtt": array("f", [0.5, nan])})
    assert peers.value("rtt", 0) == 0.5
    assert peers.value("rtt", 1) is None
    assert peers.value("name", 1) == "y"
    assert peers.value("id", 1) == "b"
    assert peers.value("nothing", 0) is None
    assert peers.number("nothing", 0) is None
    assert isnan(peers.numbers("nothing")[1])
    assert peers.text("nothing") == ("", "")
    assert peers.columns == ("id", "name", "rtt")


def test_a_peer_is_found_by_its_id() -> None:
    peers = Peers(("a", "b"))
    assert (peers.index_of("b"), peers.index_of("z"), peers.index_of(None)) == (1, None, None)
    assert list(peers) == ["a", "b"]


def test_the_number_at_the_end_of_a_name_counts() -> None:
    names = ["peer10", "peer2", "Peer1", "x", "peer2b", "12"]
    assert sorted(names, key=natural_key) == ["12", "Peer1", "peer2", "peer10", "peer2b", "x"]


@given(st.lists(st.text(max_size=8)))
def test_any_names_can_be_ordered(names: list[str]) -> None:
    in_order = sorted(names, key=natural_key)
    assert [natural_key(name) for name in in_order] == sorted(map(natural_key, names))


def test_a_kept_tick_has_its_own_index() -> None:
    first = Peers(("a", "b"), None, {"rtt": array("f", [1.0, 2.0])})
    kept = first.only(("rtt", "absent"), None)
    second = Peers(("b",), None, {"rtt": array("f", [3.0])}, like=first)
    assert second.index_of("b") == 0
    assert kept.index_of("b") == 1
    assert kept.number("rtt", 1) == 2.0
