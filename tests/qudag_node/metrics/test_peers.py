from __future__ import annotations

from dataclasses import replace

import pytest

from qudag_node.metrics import MetricsCollector, PeerLabels
from qudag_node.metrics.census import address_family
from qudag_node.metrics.peers import PeerRegistry


def test_rows_are_in_the_order_of_slots_and_slots_are_reused() -> None:
    registry = PeerRegistry(max_peers=10)
    a, b, c = (registry.open(name) for name in "abc")
    assert registry.text("id") == ("a", "b", "c")
    registry.forget(b)
    assert registry.slots().tolist() == [a.slot, c.slot]
    assert registry.text("id") == ("a", "c")
    d = registry.open("d")
    assert registry.text("id") == ("a", "d", "c")
    assert registry.generation[d.slot] == 2
    assert registry.handles() == (a, d, c)
    assert registry.get("d") is d
    assert registry.get("b") is None


def test_a_newcomer_inherits_no_label() -> None:
    registry = PeerRegistry(max_peers=1)
    first = registry.open("a")
    first.set_labels(PeerLabels(name="first", address="192.0.2.1:1", hops=1, protocol_version=1))
    first.set_rtt_method("link-ping")
    registry.forget(first)
    second = registry.open("b")
    assert registry.text("name") == registry.text("address") == registry.text("rtt_method") == ("",)
    assert registry.hops[second.slot] == registry.protocol_version[second.slot] == 0


def test_a_handle_gives_back_the_labels_last_set_while_it_stands_for_its_peer() -> None:
    registry = PeerRegistry(max_peers=3)
    peer, other = registry.open("a"), registry.open("b")
    assert peer.labels == PeerLabels()
    labels = PeerLabels(
        name="n", alias="l", address="192.0.2.1:1", direction="in", state="connected", agent="g",
        protocol_version=7, hops=2,
    )  # fmt: skip
    peer.set_labels(labels)
    assert (peer.labels, other.labels) == (labels, PeerLabels())
    registry.forget(peer)
    assert peer.labels == registry.nobody.labels == PeerLabels()
    assert registry.open("c").labels == PeerLabels()


def test_no_and_one_peer_have_columns_too() -> None:
    registry = PeerRegistry(max_peers=4)
    assert registry.text("name") == ()
    registry.open("a")
    assert registry.text("id") == ("a",)


def test_labels_are_columns() -> None:
    collector = MetricsCollector(message_types=["data"])
    peer = collector.open_peer("a")
    peer.set_labels(PeerLabels(name="peer1", state="connected", direction="in", protocol_version=3, hops=300))
    before = collector.registry.text("alias")
    peer.set_labels(replace(peer.labels, name="peer2"))
    peer.set_rtt_method("link-ping")
    peer.set_rtt_method("link-ping")
    assert collector.registry.text("name") == ("peer2",)
    assert collector.registry.text("rtt_method") == ("link-ping",)
    assert collector.registry.text("alias") is before
    assert (collector.registry.protocol_version[1], collector.registry.hops[1]) == (3, 255)
    assert repr(peer) == "<PeerHandle 'a' slot=1>"


def test_the_census_follows_every_change() -> None:
    collector = MetricsCollector(message_types=["data"])
    census = collector.registry.census
    peers = [collector.open_peer(name) for name in "abc"]
    for peer, direction, address in zip(
        peers, ("in", "in", "out"), ("192.0.2.1:1", "[::1]:2", "host:3"), strict=True
    ):
        peer.set_labels(
            PeerLabels(
                direction=direction, address=address, state="connected", agent="x", protocol_version=1, hops=1
            )
        )
    assert census.counts("direction") == {"in": 2, "out": 1}
    assert census.counts("address_family") == {"ipv4": 1, "ipv6": 1, "name": 1}
    assert census.counts("version") == {"1": 3}
    peers[0].set_labels(replace(peers[0].labels, state="known", hops=2))
    assert census.counts("direction") == {"in": 1, "out": 1}
    assert census.counts("hops") == {"1": 2, "2": 1}
    for peer in peers:
        collector.forget_peer(peer, now_mono_s=0)
    assert census.counts("state") == census.counts("hops") == census.counts("agent") == {}


@pytest.mark.parametrize(
    ("address", "family"),
    [
        ("192.0.2.1:9000", "ipv4"),
        ("[2001:db8::1]:9000", "ipv6"),
        ("example.org:9000", "name"),
        ("/run/x.sock", "unix"),
        ("unix:/run/x.sock", "unix"),
        ("", "unknown"),
    ],
)
def test_address_families(address: str, family: str) -> None:
    assert address_family(address) == family
