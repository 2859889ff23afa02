"""The history of a tree of statistics."""

from dataclasses import replace
from math import isnan, nan

import numpy as np
import pytest

from qudag_node.history import PEER_SERIES, History
from qudag_node.history.series import Fold, fold_of, numbers_of
from qudag_node.metrics.statistics import NetworkStatistics, PeerTable
from qudag_node.publish import to_document
from qudag_node.wire import to_json
from tests.qudag_node.examples import EVERYTHING_KNOWN, NOTHING_KNOWN, NOW_UNIX_S, peer_table, peer_text

START = NOW_UNIX_S


def at(second: float, sent: int = 0, peers: PeerTable | None = None) -> NetworkStatistics:
    tree = EVERYTHING_KNOWN
    return replace(
        tree,
        node=replace(tree.node, sampled_unix_s=START + second),
        messages=replace(tree.messages, sent=sent),
        peers=peer_table({}) if peers is None else peers,
    )


def history_of(seconds: int, **options: int) -> History:
    history = History(((1, 60), (10, 60), (60, 60)), peer_tiers=((1, 60), (10, 60)), **options)
    for second in range(seconds):
        history.append(at(second, sent=second))
    return history


def leaves(tree: object, path: str = "") -> dict[str, float]:
    if isinstance(tree, dict):
        return {
            name: number
            for key, inner in tree.items()
            for name, number in leaves(inner, f"{path}.{key}").items()
        }
    return {path[1:]: tree} if isinstance(tree, (int, float)) and not isinstance(tree, bool) else {}


def test_the_series_are_the_numbers_of_the_stats_document() -> None:
    document = to_json(to_document(EVERYTHING_KNOWN))
    numbers = leaves({name: section for name, section in document.items() if name != "peers"})
    series = {
        name: value for name, value in zip(*numbers_of(EVERYTHING_KNOWN), strict=True) if not isnan(value)
    }
    assert series.items() <= numbers.items()
    left_out = {name for name in numbers.keys() - series.keys() if ".agent." not in name}
    assert {name.rpartition(".")[2] for name in left_out} == {
        "at_unix_s",
        "error_bound_s",
        "interval_s",
        "limit",
        "open_files_limit",
        "sampled_unix_s",
        "started_unix_s",
        "tick",
    }


def test_what_is_not_known_yet_is_a_series_already() -> None:
    names = dict(zip(*numbers_of(NOTHING_KNOWN), strict=True))
    for name in (
        "latency.links.p99",
        "messages.sent_peak.per_s",
        "messages.sent_rate.60s",
        "resources.rss_bytes",
    ):
        assert isnan(names[name])
    assert "performance.propagation_time_s.p50" in names
    assert not [name for name in names if name.endswith((".method", "_unix_s", "sent_peak"))]
    assert names.keys() <= set(numbers_of(EVERYTHING_KNOWN)[0])


@pytest.mark.parametrize(
    ("name", "fold"),
    [
        ("messages.sent", Fold.LAST),
        ("messages.by_type.data.received_bytes", Fold.LAST),
        ("connections.errors.timeout", Fold.LAST),
        ("messages.dropped_by_cause.queue-full", Fold.LAST),
        ("messages.sent_rate.1s", Fold.MEAN),
        ("connections.active", Fold.MEAN),
        ("latency.links.p50", Fold.MEAN),
        ("latency.links.p99", Fold.MAX),
        ("latency.links.min", Fold.MIN),
        ("bandwidth.sent_peak.per_s", Fold.MAX),
        ("rtt_p95_s", Fold.MAX),
    ],
)
def test_each_kind_of_number_is_folded_in_its_own_way(name: str, fold: Fold) -> None:
    assert fold_of(name) is fold


def test_what_was_appended_is_read() -> None:
    history = history_of(30)
    part = history.read(["messages.sent"], START + 10, START + 15, 1)
    assert (part.from_unix_s, part.step_s) == (START + 10, 1)
    assert list(part.series["messages.sent"]) == [10, 11, 12, 13, 14]


def test_by_default_the_last_ten_minutes_are_read_at_the_finest_step() -> None:
    history = History()
    for second in range(700):
        history.append(at(second, sent=second))
    part = history.read(["messages.sent"])
    assert (part.from_unix_s, part.step_s) == (START + 100, 1)
    assert list(part.series["messages.sent"]) == list(range(100, 700))


def test_a_longer_past_is_read_at_a_coarser_step() -> None:
    history = history_of(300)
    part = history.read(["messages.sent", "messages.sent_rate.1s"], START + 100)
    assert (part.from_unix_s, part.step_s) == (START + 100, 10)
    assert list(part.series["messages.sent"])[:3] == [109, 119, 129]
    assert list(part.series["messages.sent_rate.1s"])[:3] == [12, 12, 12]


@pytest.mark.parametrize("step_s", [604_801.0, 1e10, 1e300])
def test_a_step_longer_than_what_is_kept_is_refused(step_s: float) -> None:
    with pytest.raises(ValueError, match="more than the 604800 s that are kept"):
        History().read([], step_s=step_s)


def test_the_longest_step_is_the_whole_past() -> None:
    history = History()
    for second in range(30):
        history.append(at(second, sent=second))
    points = history.read(["messages.sent"], step_s=604_800.0).series["messages.sent"]
    assert points[~np.isnan(points)].tolist() == [29.0]


def test_a_step_between_the_tiers_is_a_multiple_of_the_finer_one() -> None:
    part = history_of(300).read(["messages.sent"], START + 100, START + 160, 15)
    assert part.step_s == 20
    assert list(part.series["messages.sent"]) == [119, 139, 159]


def test_a_gap_is_not_bridged() -> None:
    history = history_of(5)
    history.append(at(9, sent=9))
    points = history.read(["messages.sent"], START + 3).series["messages.sent"]
    assert np.array_equal(points, [3, 4, nan, nan, nan, nan, 9], equal_nan=True)


def test_a_value_that_is_not_known_any_more_is_a_gap() -> None:
    history = history_of(2)
    unknown = replace(NOTHING_KNOWN, node=replace(NOTHING_KNOWN.node, sampled_unix_s=START + 2))
    history.append(unknown)
    points = history.read(["bandwidth.utilization_ratio"], START).series["bandwidth.utilization_ratio"]
    assert np.array_equal(points, [0.25, 0.25, nan], equal_nan=True)


@pytest.mark.parametrize(
    ("from_", "to"), [(-1e9, None), (None, 1e9), (-1e9, 1e9), (50, 20), (1e6, 1e7), (-1e9, -1e8)]
)
def test_a_span_beyond_what_is_kept_is_cut(from_: float | None, to: float | None) -> None:
    part = history_of(100).read(
        ["messages.sent"], None if from_ is None else START + from_, None if to is None else START + to
    )
    assert len(part.series["messages.sent"]) <= 100


@pytest.mark.parametrize(
    ("from_", "to", "step"),
    [(nan, None, 1), (0.0, nan, 1), (None, None, -1), (None, None, nan), (None, None, float("inf"))],
)
def test_what_is_no_number_is_refused(from_: float | None, to: float | None, step: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        history_of(3).read(["messages.sent"], from_, to, step)


def test_an_empty_history_has_no_points_and_no_names() -> None:
    history = History()
    assert history.names() == []
    assert history.read([]).series == {}
    with pytest.raises(KeyError, match=r"messages\.sent"):
        history.read(["messages.sent"])


def test_names_beyond_the_limit_are_not_kept() -> None:
    history = history_of(2, max_series=10)
    assert len(history.names()) == 10


def test_samples_every_five_seconds_make_points_of_five_seconds() -> None:
    history = History(((1, 60), (12, 60)), interval_s=5)
    for second in range(0, 100, 5):
        history.append(at(second, sent=second))
    part = history.read(["messages.sent"], START)
    assert part.step_s == 5
    assert list(part.series["messages.sent"]) == list(range(0, 100, 5))
    assert history.read(["messages.sent"], START, step_s=12).step_s == 15


def connected(*slots: int, away: tuple[int, ...] = ()) -> PeerTable:
    table = peer_table(dict.fromkeys(sorted((*slots, *away)), 0))
    states = tuple("connected" if slot in slots else "backoff" for slot in table.slots)
    return replace(table, text={**table.text, "state": states})


def names_of(*slots: int) -> set[str]:
    return {f"peers.{peer_text(slot, 'id')}.{name}" for slot in slots for name in PEER_SERIES}


def test_connected_peers_have_series_of_their_own() -> None:
    history = History()
    table = connected(1, 3, away=(2,))
    for second in range(3):
        history.append(at(second, peers=table))
    assert {name for name in history.names() if name.startswith("peers.")} == names_of(1, 3)
    for name in names_of(3):
        points = history.read([name], START).series[name]
        expected = table.numbers[name.rpartition(".")[2]][2]
        assert np.array_equal(points, [expected] * 3, equal_nan=True)


def test_a_peer_that_leaves_keeps_its_past_and_one_that_returns_goes_on() -> None:
    history = History()
    for second, table in enumerate([connected(1), connected(2, away=(1,)), connected(2), connected(1, 2)]):
        history.append(at(second, peers=table))
    name = f"peers.{peer_text(1, 'id')}.sent_bytes_per_s"
    known = [not isnan(point) for point in history.read([name], START).series[name]]
    assert known == [True, True, False, True]


def test_the_peer_away_longest_gives_way_and_connected_ones_never_do() -> None:
    history = History(max_peers=2)
    for second, table in enumerate([connected(1, 2), connected(1, 2, 3)]):
        history.append(at(second, peers=table))
    assert names_of(3).isdisjoint(history.names())
    for second, table in enumerate(
        [connected(1, away=(2,)), connected(away=(1, 2)), connected(3, away=(1,))], 2
    ):
        history.append(at(second, peers=table))
    assert {name for name in history.names() if name.startswith("peers.")} == names_of(1, 3)
    name = f"peers.{peer_text(3, 'id')}.sent_bytes_per_s"
    assert np.isnan(history.read([name], START).series[name][:4]).all()


@pytest.mark.parametrize("name", ["peers.nobody.rtt_p50_s", "peers.x", "nothing", "messages"])
def test_an_unknown_name_is_a_key_error(name: str) -> None:
    history = History()
    history.append(at(0, peers=connected(1)))
    with pytest.raises(KeyError):
        history.read([name])


def test_series_of_peers_and_others_are_read_at_one_step() -> None:
    history = History(((1, 10), (60, 60)), peer_tiers=((1, 10), (10, 60)))
    table = connected(1)
    for second in range(130):
        history.append(at(second, sent=second, peers=table))
    peer = f"peers.{peer_text(1, 'id')}.sent_bytes_per_s"
    part = history.read(["messages.sent", peer], START)
    assert part.step_s == 60
    assert len(part.series[peer]) == len(part.series["messages.sent"]) == 3


def test_the_memory_of_a_full_history_is_what_the_documentation_says() -> None:
    history, peers = History(), connected(*range(200))
    for second in range(3):
        history.append(at(second, peers=peers))
    # The rings are counted whole when a block of series begins to vary, so time adds nothing.
    assert history.nbytes < 32_000_000
    for number in range(600):
        history.append(replace(at(3), protocol_versions={str(number): 1}, peers=peers))
    assert history.nbytes < 33_000_000
    assert len(history.names()) == 512 + 100 * len(PEER_SERIES)
