from __future__ import annotations

from dataclasses import replace

from qudag_tui.model.events import (
    Connected,
    ConnectionLost,
    DetailArrived,
    EventsArrived,
    FilterTyped,
    IntervalStepped,
    PastArrived,
    PauseToggled,
    PeerSelected,
    SampleArrived,
    ScreenShown,
    SortBy,
    SortReversed,
    SortStepped,
    TimePassed,
)
from qudag_tui.model.order import Sort
from qudag_tui.model.reduce import MAX_EVENTS, reduce
from qudag_tui.model.state import Link, LinkPhase, NodeEvent, PeerDetail, ScreenName, UiState
from qudag_tui.model.trail import Point
from tests.qudag_tui.examples import ADDRESS, NOON, peer_id, sample, state_after


def test_time_enters_as_an_event() -> None:
    assert reduce(UiState(), TimePassed(7.0)).now_mono_s == 7.0


def test_connecting_ends_an_outage() -> None:
    lost = reduce(UiState(), ConnectionLost("refused", 5.0, 2.0))
    assert reduce(lost, Connected(ADDRESS, 9.0)).link == Link(
        address=ADDRESS, phase=LinkPhase.LIVE, since_mono_s=9.0
    )


def test_an_outage_began_with_its_first_failure() -> None:
    state = reduce(reduce(UiState(), Connected(ADDRESS, 1.0)), ConnectionLost("closed", 5.0, 0.5))
    assert (state.link.phase, state.link.since_mono_s, state.link.retry_mono_s) == (LinkPhase.LOST, 5.0, 5.5)
    state = reduce(state, ConnectionLost("refused", 6.0))
    assert (state.link.reason, state.link.since_mono_s, state.link.retry_mono_s) == ("refused", 5.0, None)
    assert state.link.address == ADDRESS


def test_a_sample_replaces_the_one_before_and_extends_the_trail() -> None:
    state = state_after(ticks=3)
    assert state.live.sample is not None
    assert state.live.sample.node.tick == 600
    assert len(state.live.trail.points) == 3
    assert state.age_s == 0.0
    assert not state.is_stale


def test_data_grow_stale() -> None:
    state = state_after(ticks=2)
    assert not reduce(state, TimePassed(state.now_mono_s + 2.9)).is_stale
    assert reduce(state, TimePassed(state.now_mono_s + 3.1)).is_stale
    lost = reduce(state, ConnectionLost("closed", state.now_mono_s))
    assert lost.is_stale
    assert reduce(lost, TimePassed(state.now_mono_s + 60.0)).age_s == 60.0


def test_nothing_is_stale_before_anything_came() -> None:
    assert not reduce(UiState(), ConnectionLost("refused", 5.0)).is_stale
    assert UiState().node_unix_s == 0.0


def test_the_nodes_clock_goes_on_between_samples() -> None:
    state = state_after(ticks=2)
    assert state.node_unix_s == NOON
    assert reduce(state, TimePassed(state.now_mono_s + 4.0)).node_unix_s == NOON + 4.0


def test_a_node_that_restarted_keeps_its_past_on_the_chart_but_not_its_peers() -> None:
    state = state_after(ticks=3)
    assert state.live.sample is not None
    node = replace(state.live.sample.node, started_unix_s=NOON, sampled_unix_s=NOON + 9.0)
    state = reduce(state, SampleArrived(replace(state.live.sample, node=node), state.now_mono_s + 9.0))
    assert len(state.live.trail.points) == 4
    assert len(state.live.trail.tracks) == 1
    assert state.live.events


def test_another_node_at_the_same_address_begins_anew() -> None:
    state = state_after(ticks=3)
    assert state.live.sample is not None
    node = replace(state.live.sample.node, id=peer_id(77), started_unix_s=NOON, sampled_unix_s=NOON + 9.0)
    state = reduce(state, SampleArrived(replace(state.live.sample, node=node), state.now_mono_s + 9.0))
    assert len(state.live.trail.points) == 1
    assert state.live.events == ()


def test_events_are_newest_first_known_once_and_bounded() -> None:
    state = reduce(UiState(), EventsArrived((NodeEvent(seq=1, unix_s=1.0, kind="a"),)))
    state = reduce(
        state,
        EventsArrived((NodeEvent(seq=1, unix_s=1.0, kind="a"), NodeEvent(seq=2, unix_s=2.0, kind="b"))),
    )
    assert [event.kind for event in state.live.events] == ["b", "a"]
    flood = tuple(NodeEvent(seq=n, unix_s=float(n), kind="x") for n in range(3, 2000))
    assert len(reduce(state, EventsArrived(flood)).live.events) == MAX_EVENTS


def test_the_past_of_the_node_joins_the_trail() -> None:
    point = Point(at_unix_s=NOON - 50.0, interval_s=1.0, received_bytes_per_s=1.0, sent_bytes_per_s=2.0)
    state = reduce(state_after(ticks=2), PastArrived((point,)))
    assert state.live.trail.points[0] == point
    assert len(state.live.trail.points) == 3


def test_a_pause_holds_what_is_seen_while_data_go_on() -> None:
    state = reduce(state_after(ticks=2), PauseToggled())
    seen = state.seen
    state = reduce(state, SampleArrived(sample(601, previous=state.live.sample), state.now_mono_s + 1.0))
    assert state.is_paused
    assert state.seen is seen
    assert state.age_s == 1.0
    assert state.node_unix_s == NOON
    assert not state.is_stale
    state = reduce(state, PauseToggled())
    assert state.seen.sample is not None
    assert state.seen.sample.node.tick == 601


def test_a_detail_that_was_asked_for_is_shown_in_a_pause_too() -> None:
    detail = PeerDetail(peer_id="x")
    state = reduce(reduce(state_after(ticks=1), PauseToggled()), DetailArrived(detail))
    assert state.seen.detail == detail
    assert reduce(state, PauseToggled()).seen.detail == detail
    assert reduce(state_after(ticks=1), DetailArrived(detail)).seen.detail == detail


def test_the_screen_is_part_of_the_state() -> None:
    assert reduce(UiState(), ScreenShown(ScreenName.PEERS)).screen is ScreenName.PEERS


def test_the_interval_goes_up_and_down_in_steps_and_stops_at_the_ends() -> None:
    state = UiState(interval_s=1.0)
    assert reduce(state, IntervalStepped(1)).interval_s == 2.0
    assert reduce(state, IntervalStepped(-1)).interval_s == 0.5
    assert reduce(UiState(interval_s=60.0), IntervalStepped(1)).interval_s == 60.0
    assert reduce(UiState(interval_s=0.1), IntervalStepped(-1)).interval_s == 0.1
    assert reduce(UiState(interval_s=3.0), IntervalStepped(1)).interval_s == 5.0
    assert reduce(UiState(interval_s=3.0), IntervalStepped(-1)).interval_s == 2.0


def test_sorting_by_the_same_field_again_turns_round() -> None:
    state = reduce(UiState(), SortBy("p95"))
    assert state.sort == Sort("p95", descending=True)
    assert reduce(state, SortBy("p95")).sort == Sort("p95", descending=False)
    assert reduce(state, SortReversed()).sort == Sort("p95", descending=False)


def test_stepping_goes_through_the_columns_on_the_screen() -> None:
    keys = ("name", "rtt", "loss")
    state = reduce(UiState(), SortStepped(keys))
    assert state.sort.key == "rtt"
    assert reduce(reduce(state, SortStepped(keys)), SortStepped(keys)).sort.key == "name"
    assert reduce(UiState(), SortStepped(keys, -1)).sort.key == "loss"
    assert reduce(UiState(sort=Sort("cwnd")), SortStepped(keys)).sort.key == "name"


def test_a_filter_that_cannot_be_read_leaves_the_last_one_in_force() -> None:
    state = reduce(UiState(), FilterTyped("dir:in"))
    assert len(state.wanted.terms) == 1
    worse = reduce(state, FilterTyped("dir:in rtt>"))
    assert worse.wanted == state.wanted
    assert worse.filter_problem == ("rtt> needs a value", 11)
    assert worse.filter_text == "dir:in rtt>"
    assert reduce(worse, FilterTyped("")).filter_problem is None


def test_the_selection_is_a_peer_not_a_row() -> None:
    assert reduce(UiState(), PeerSelected("x")).selected == "x"
