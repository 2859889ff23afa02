"""Routing states that talk to each other; the scenario files hold the simple networks."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qudag_node.overlay.advert import MAX_LINKS, decode_advert, sign_advert
from qudag_node.overlay.frames import RemoteFault
from qudag_node.overlay.linkstate import LinkState, LinkStateConfig, MapNode
from qudag_node.overlay.lsdb import DatabaseLimits, Outcome
from qudag_node.overlay.signing import Verifier
from tests.qudag_node.overlay.keys import NETWORK, signer_of
from tests.qudag_node.overlay.network import EPOCH_MS, SimulatedNetwork, SimulatedNode

SETTLE_S = 15.0


def line_of(names: str, rtt_s: float = 0.010) -> SimulatedNetwork:
    network = SimulatedNetwork(names)
    for a, b in pairwise(names):
        network.up(a, b, rtt_s)
    network.run(SETTLE_S)
    return network


def state_of(number: int, *, now: float = 0.0, sequence: int = 0) -> LinkState:
    return LinkState(
        signer_of(number),
        Verifier(NETWORK),
        LinkStateConfig(name=f"peer{number}"),
        sequence=sequence,
        rng=Random(number),
        now_mono_s=now,
    )


def test_a_line_in_steady_state_sends_only_renewals() -> None:
    network = line_of("abcd")
    for node in network.nodes.values():
        node.outcomes.clear()
    network.run(300.0)
    # 10 to 13 renewals of each of the 3 others, each by one way only.
    for node in network.nodes.values():
        assert 30 <= node.outcomes.count(Outcome.ACCEPTED) <= 39
        assert len(node.outcomes) == node.outcomes.count(Outcome.ACCEPTED)


def test_a_node_that_falls_silent_is_forgotten_after_four_renewals() -> None:
    network = line_of("abc")
    network.kill("c")
    network.run(100.0)
    assert network.key("c") in {node.key for node in network.nodes["a"].state.nodes()}
    network.run(30.0)
    assert [node.name for node in network.nodes["a"].state.nodes()] == ["a", "b"]


def test_an_advert_from_before_a_restart_is_outrun() -> None:
    network = line_of("abc")
    # Its clock was far ahead when it advertised; now the clock is right and the sequence forgotten.
    ahead = network.wall_ms + 10**9
    network.restart("b", sequence=ahead)
    network.run(SETTLE_S)
    assert network.nodes["b"].state.sequence > ahead
    network.restart("b")
    network.down("b", "c")
    network.run(SETTLE_S)
    assert network.nodes["b"].state.sequence > ahead
    assert network.nodes["a"].state.route(network.key("b")) is not None
    assert network.nodes["a"].state.route(network.key("c")) is None


def test_a_forged_advert_of_ours_does_not_make_us_answer() -> None:
    state = state_of(1)
    state.tick(0.0, EPOCH_MS)
    forged = bytearray(
        sign_advert(signer_of(1), {}, sequence=EPOCH_MS + 5, name="peer1", lifetime_s=1).encoded
    )
    forged[-1] ^= 1
    with pytest.raises(RemoteFault):
        state.receive(bytes(forged), signer_of(2).public_key, 0.0)
    assert state.tick(0.0, EPOCH_MS).advert is None


def test_a_neighbour_that_knows_less_is_told() -> None:
    state, other = state_of(1), signer_of(2).public_key
    new = sign_advert(signer_of(3), {}, sequence=8, name="", lifetime_s=60).encoded
    old = sign_advert(signer_of(3), {}, sequence=7, name="", lifetime_s=60).encoded
    assert state.receive(new, other, 0.0).flood == new
    verdict = state.receive(old, other, 0.0)
    assert (verdict.outcome, verdict.flood, verdict.reply) == (Outcome.OLDER, None, new)
    own = state.tick(0.0, EPOCH_MS).advert
    stale = sign_advert(signer_of(1), {}, sequence=3, name="", lifetime_s=60).encoded
    assert state.receive(stale, other, 0.0).reply == own


def test_our_own_advert_coming_round_is_a_duplicate() -> None:
    state = state_of(1)
    own = state.tick(0.0, EPOCH_MS).advert
    assert own is not None
    assert state.receive(own, signer_of(2).public_key, 0.0).outcome is Outcome.KNOWN


def test_a_link_is_told_once_the_neighbour_has_told_all_it_knows() -> None:
    state, neighbour = state_of(1), signer_of(2)
    state.tick(0.0, EPOCH_MS)
    state.neighbour_up(neighbour.public_key, 0.0)
    assert state.tick(0.0, EPOCH_MS).advert is None
    hello = sign_advert(neighbour, {}, sequence=1, name="", lifetime_s=60).encoded
    state.receive(hello, neighbour.public_key, 0.1)
    advert = state.tick(0.1, EPOCH_MS).advert
    assert advert is not None
    assert list(decode_advert(advert).cost_us_by_neighbour) == [neighbour.public_key]


def test_a_neighbour_without_an_advert_is_told_in_the_end_and_reached_at_once() -> None:
    state, neighbour = state_of(1), signer_of(2).public_key
    state.tick(0.0, EPOCH_MS)
    state.neighbour_up(neighbour, 0.0, rtt_s=0.004)
    state.tick(0.1, EPOCH_MS)
    route = state.route(neighbour)
    assert route is not None
    assert (route.next_hop, route.hops, route.rtt_us) == (neighbour, 1, 4000)
    assert state.due_mono_s <= 2.0
    advert = state.tick(2.0, EPOCH_MS).advert
    assert advert is not None
    assert neighbour in decode_advert(advert).cost_us_by_neighbour


def test_a_link_that_takes_anothers_place_is_no_news() -> None:
    network = line_of("abc")
    network.nodes["a"].changes.clear()
    before = network.nodes["a"].state.sequence
    network.nodes["a"].state.neighbour_up(network.key("b"), network.now_s)
    network.run(5.0)
    assert network.nodes["a"].changes == []
    assert network.nodes["a"].state.sequence == before
    assert network.nodes["a"].state.route(network.key("c")) is not None


def test_a_route_ends_with_its_first_link_before_the_map_is_computed_anew() -> None:
    network = line_of("abc")
    state = network.nodes["a"].state
    state.neighbour_down(network.key("b"))
    assert state.route(network.key("c")) is None


def test_small_changes_of_a_links_cost_are_not_told() -> None:
    network = line_of("ab", rtt_s=0.010)
    before = network.nodes["a"].state.sequence
    for turn in range(50):
        network.nodes["a"].state.neighbour_rtt(network.key("b"), 0.010 + 0.001 * (turn % 2))
        network.run(0.1)
    assert network.nodes["a"].state.sequence == before
    for _ in range(50):
        network.nodes["a"].state.neighbour_rtt(network.key("b"), 0.030)
    network.run(5.0)
    assert network.nodes["a"].state.sequence > before


def test_new_costs_of_a_hub_wait_and_lost_links_do_not() -> None:
    hub = state_of(1)
    keys = [bytes([number]) * 32 for number in range(100)]
    for key in keys:
        hub.neighbour_up(key, 0.0, 0.010)
    adverts: list[float] = []
    for step in range(200):
        now = 10.0 + step * 0.1
        for key in keys:
            hub.neighbour_rtt(key, 0.010 if step % 20 < 10 else 0.050)
        if hub.tick(now, int(now * 1000)).advert is not None:
            adverts.append(now)
    # An advert of 3.7 KB to each of 100 neighbours: every 5.7 s. The first one tells of the links.
    assert len(adverts) == 4
    hub.neighbour_down(keys[0])
    assert hub.tick(30.1, 30_100).advert is not None


def test_a_flapping_link_is_told_twice_a_second_at_most() -> None:
    network = line_of("abc")
    network.nodes["c"].outcomes.clear()
    for _ in range(100):
        network.down("a", "b")
        network.run(0.05)
        network.up("a", "b", 0.010)
        network.run(0.05)
    # Ten seconds: the burst of eight and two a second, from each of a and b.
    assert network.nodes["c"].outcomes.count(Outcome.ACCEPTED) <= 2 * (8 + 2 * 10)
    network.run(SETTLE_S)
    assert network.nodes["c"].state.route(network.key("a")) is not None


def test_names_hops_and_claims_are_shown() -> None:
    network = SimulatedNetwork("abc", leaves="c")
    network.nodes["b"].lies = {"c": 0.001}
    network.up("a", "b", 0.010)
    network.run(SETTLE_S)
    state = network.nodes["a"].state
    assert state.nodes() == [
        MapNode(network.key("a"), "a", 0, False),
        MapNode(network.key("b"), "b", 1, False),
    ]
    links = {
        frozenset((network.name_of(link.a), network.name_of(link.b))): (link.cost_us, link.is_up)
        for link in state.links()
    }
    assert links == {frozenset("ab"): (10_000, True), frozenset("bc"): (1_000, False)}
    assert [network.name_of(key) for key in state.path(network.key("b"))] == ["a", "b"]


def test_an_unknown_neighbours_measurement_is_ignored() -> None:
    state = state_of(1)
    state.neighbour_rtt(signer_of(2).public_key, 0.1)
    state.neighbour_down(signer_of(2).public_key)
    assert state.links() == []


def test_a_map_that_is_too_small_still_knows_its_neighbours() -> None:
    network = SimulatedNetwork("abcdefg")
    small = SimulatedNode(network, "a", is_leaf=False, limits=DatabaseLimits(origins=3))
    network.nodes["a"] = small
    for b, c in zip("bcdefg", "cdefg", strict=False):
        network.up(b, c, 0.010)
    network.up("a", "b", 0.010)
    network.run(SETTLE_S)
    network.up("a", "g", 0.010)
    network.run(60.0)
    known = {node.name for node in small.state.nodes()}
    assert {"a", "b", "g"} <= known
    assert len(known) <= 4


def test_a_bad_renewal_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="renew_interval_s"):
        LinkStateConfig(renew_interval_s=0)


pairs = st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef")).filter(
    lambda pair: pair[0] != pair[1]
)
acts = st.tuples(pairs, st.booleans(), st.floats(0.0, 3.0))


@settings(max_examples=40)
@given(history=st.lists(acts, max_size=25), rtts_ms=st.lists(st.integers(1, 200), min_size=30, max_size=30))
def test_whatever_happened_all_maps_agree_with_the_network_in_the_end(
    history: list[tuple[list[str], bool, float]], rtts_ms: list[int]
) -> None:
    network = SimulatedNetwork("abcdef")
    linked: dict[frozenset[str], float] = {}
    for ((a, b), is_up, wait_s), rtt_ms in zip(history, rtts_ms, strict=False):
        ends = frozenset((a, b))
        if is_up and ends not in linked:
            network.up(a, b, rtt_ms / 1000)
            linked[ends] = rtt_ms / 1000
        elif not is_up:
            network.down(a, b)
            linked.pop(ends, None)
        network.run(wait_s)
    network.run(SETTLE_S)
    for source, node in network.nodes.items():
        component = {source}
        for _ in range(len(network.nodes)):
            component |= {name for ends in linked if ends & component for name in ends}
        for destination in network.nodes:
            path = [network.name_of(key) for key in node.state.path(network.key(destination))]
            if destination == source or destination not in component:
                assert path == []
                continue
            walked = [source]
            while walked[-1] != destination:
                hop = network.nodes[walked[-1]].next_hop(network.key(destination))
                assert hop is not None
                walked.append(network.name_of(hop))
                assert frozenset(walked[-2:]) in linked
                assert len(walked) <= len(path), f"{walked} is longer than {path}"


def test_a_leaf_passes_nothing_on_and_tells_of_itself_only() -> None:
    leaf = LinkState(
        signer_of(1),
        Verifier(NETWORK),
        LinkStateConfig(name="leaf", is_leaf=True),
        sequence=0,
        rng=Random(1),
        now_mono_s=0.0,
    )
    others = [
        sign_advert(
            signer_of(number),
            {},
            sequence=EPOCH_MS,
            name=f"peer{number}",
            lifetime_s=120,
            is_leaf=False,
            is_leaving=False,
        ).encoded
        for number in (2, 3)
    ]
    relay = state_of(4)
    for encoded in others:
        for state, flood in ((leaf, None), (relay, encoded)):
            verdict = state.receive(encoded, signer_of(2).public_key, 0.0)
            assert verdict.outcome is Outcome.ACCEPTED
            assert verdict.flood == flood
    own = leaf.tick(0.0, EPOCH_MS).advert
    assert leaf.adverts() == [own]
    assert relay.adverts()[:2] == others


def test_of_too_many_links_the_cheapest_are_told() -> None:
    state = state_of(1)
    keys = [signer_of(1000 + number).public_key for number in range(MAX_LINKS + 20)]
    for number, key in enumerate(keys):
        state.neighbour_up(key, 0.0, rtt_s=0.001 * (1 + number))
    encoded = state.tick(10.0, EPOCH_MS).advert
    assert encoded is not None
    assert set(decode_advert(encoded).cost_us_by_neighbour) == set(keys[:MAX_LINKS])


def advert_of(number: int, *, sequence: int = EPOCH_MS) -> bytes:
    return sign_advert(
        signer_of(number),
        {},
        sequence=sequence,
        name="",
        lifetime_s=120,
        is_leaf=False,
        is_leaving=False,
    ).encoded


def test_a_neighbour_may_tell_of_so_many_unknown_nodes_and_of_known_ones_as_it_likes() -> None:
    state = state_of(1)
    first, second = signer_of(2).public_key, signer_of(3).public_key
    for key in (first, second):
        state.neighbour_up(key, 0.0)
    strangers = range(10_000, 10_000 + 1_030)
    outcomes = [state.receive(advert_of(number), first, 0.0).outcome for number in strangers]
    assert outcomes == [Outcome.ACCEPTED] * 1_024 + [Outcome.STRANGERS] * 6
    late = advert_of(strangers[-1])
    # It is the teller that is limited, not the told.
    assert state.receive(advert_of(2), first, 0.0).outcome is Outcome.ACCEPTED
    assert (
        state.receive(advert_of(strangers[0], sequence=EPOCH_MS + 1), first, 0.0).outcome is Outcome.ACCEPTED
    )
    assert state.receive(late, second, 0.0).outcome is Outcome.ACCEPTED
    assert state.receive(advert_of(20_000), first, 0.019).outcome is Outcome.STRANGERS
    assert state.receive(advert_of(20_000), first, 0.021).outcome is Outcome.ACCEPTED


def test_links_that_were_told_stay_told_when_others_become_cheaper() -> None:
    state = state_of(1)
    keys = [signer_of(1000 + number).public_key for number in range(MAX_LINKS + 20)]
    for number, key in enumerate(keys):
        state.neighbour_up(key, 0.0, rtt_s=0.010 if number < MAX_LINKS else 0.020)
    assert state.tick(10.0, EPOCH_MS).advert is not None
    for key in keys[MAX_LINKS:]:
        for _ in range(50):
            state.neighbour_rtt(key, 0.001)
    gone = keys[0]
    state.neighbour_down(gone)
    encoded = state.tick(20.0, EPOCH_MS + 10_000).advert
    assert encoded is not None
    told = set(decode_advert(encoded).cost_us_by_neighbour)
    assert told > set(keys[1:MAX_LINKS])
    assert len(told & set(keys[MAX_LINKS:])) == 1


def test_only_a_cost_worth_telling_asks_for_a_tick() -> None:
    state = state_of(1)
    key = signer_of(2).public_key
    state.neighbour_up(key, 0.0)
    assert not state.neighbour_rtt(signer_of(3).public_key, 0.1)
    assert not state.neighbour_rtt(key, 0.010)  # it is not told yet
    state.tick(10.0, EPOCH_MS)
    assert not state.neighbour_rtt(key, 0.010)
    assert any(state.neighbour_rtt(key, 0.100) for _ in range(50))
    assert not state.neighbour_rtt(key, 0.100)  # it is known already


def test_a_cost_that_waits_to_be_told_does_not_delay_the_renewal() -> None:
    config = LinkStateConfig(name="hub", renew_interval_s=0.1)
    state = LinkState(signer_of(1), Verifier(NETWORK), config, sequence=0, rng=Random(1), now_mono_s=0.0)
    keys = [signer_of(1000 + number).public_key for number in range(40)]
    for key in keys:
        state.neighbour_up(key, 0.0, rtt_s=0.001)
    assert state.tick(10.0, EPOCH_MS).advert is not None
    # An advert of 40 links on 40 links: what was flooded keeps costs waiting for over half a second.
    for _ in range(50):
        state.neighbour_rtt(keys[0], 0.1)
    assert state.tick(10.0, EPOCH_MS).advert is None
    assert 10.0 < state.due_mono_s <= 10.1
    renewed = state.tick(10.1, EPOCH_MS).advert
    assert renewed is not None
    assert decode_advert(renewed).cost_us_by_neighbour[keys[0]] > 50_000
