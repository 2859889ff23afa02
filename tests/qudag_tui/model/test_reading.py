from __future__ import annotations

from math import nan

from qudag_tui.model.reading import MAX_NAMES, flat, read_sample
from qudag_tui.model.sample import Peak, Rates, Sample
from tests.qudag_tui.examples import ExampleRows, document, peer_id, rows


def test_every_section_is_read() -> None:
    sample = read_sample(document(), rows())
    assert sample.node.name == "peer1"
    assert sample.node.listen == ("198.18.0.1:7000",)
    assert sample.node.is_lab
    assert (sample.connections.incoming, sample.connections.outgoing) == (2, 2)
    assert sample.connections.errors == {"timeout": 2, "reset": 1}
    assert sample.messages.total.sent == sum(counts.sent for counts in sample.messages.by_type.values())
    assert sample.messages.by_type["data"].dropped == 14
    assert sample.bandwidth.sent_peak == Peak(per_s=533_000.0, at_unix_s=1769862280.0)
    assert sample.latency.links.method == "link-ping"
    assert sample.latency.by_type["data"].method == "queue-to-kernel"
    assert sample.performance.propagation_time_s is not None
    assert sample.performance.propagation_time_s.error_bound_s == 0.0011
    assert sample.resources.open_files_limit == 1024
    assert len(sample.peers) == 5
    assert sample.peers.value("rtt_p50_s", 4) is None
    assert sample.peers.value("name", 0) == "peer2"


def test_nothing_is_something_not_known() -> None:
    assert read_sample({}) == Sample() or read_sample({}).node.tcp_info == "unavailable"
    assert read_sample({}).resources.rss_bytes is None
    assert read_sample({}).performance.propagation_time_s is None


def test_a_field_of_another_type_is_not_known() -> None:
    strange = {
        "node": {"name": 7, "listen": "x", "uptime_s": "long", "started_unix_s": True},
        "connections": ["active"],
        "bandwidth": {"sent_rate": {"1s": nan, "10s": float("inf"), "60s": None}, "sent_peak": {"per_s": 1}},
    }
    sample = read_sample(strange)
    assert sample.node.name == ""
    assert sample.node.listen == ()
    assert sample.node.uptime_s == 0.0
    assert sample.bandwidth.sent_rate == Rates()
    assert sample.bandwidth.sent_peak is None


def test_hostile_text_is_cleaned_wherever_it_enters() -> None:
    bad = "x\x1b]0;PWNED\x07"
    sample = read_sample(
        {
            "node": {"name": bad, "listen": [bad]},
            "messages": {"by_type": {bad: {"sent": 1}}, "dropped_by_cause": {bad: 1}},
            "latency": {"links": {"method": bad}},
        },
        ExampleRows(ids=[bad], text={"name": [bad], "agent": [bad], "unlisted": [bad]}, numbers={}),
    )
    assert "\x1b" not in repr(sample).replace("\\x1b", "\x1b")
    assert sample.peers.text("name")[0] == "x�]0;PWNED�"
    assert sample.peers.ids[0] == "x�]0;PWNED�"
    assert sample.peers.text("unlisted")[0] == ""


def test_a_node_that_invents_names_is_cut_short() -> None:
    many = {f"type{n}": {"sent": 1} for n in range(1000)}
    assert len(read_sample({"messages": {"by_type": many}}).messages.by_type) == MAX_NAMES


def test_unchanged_names_are_not_cleaned_again() -> None:
    first_rows = rows()
    first = read_sample(document(1), first_rows)
    again = ExampleRows(ids=first_rows.ids, text=first_rows.text, numbers=rows(601).numbers)
    second = read_sample(document(2), again, first)
    assert second.peers.ids is first.peers.ids
    assert second.peers.text("name") is first.peers.text("name")
    assert second.peers.labels is first.peers.labels
    renamed = dict(first_rows.text) | {"name": ("a", "b", "c", "d", "e")}
    third = read_sample(document(3), ExampleRows(first_rows.ids, renamed, {}), second)
    assert list(third.peers.labels) == ["a", "b", "c", "d", "e"]


def test_flat_shows_fields_that_nobody_listed() -> None:
    tree = {"tcp": {"rtt_s": 0.02, "new\x1b": True}, "aliases": ["a", "b\n"], "none": None}
    assert flat(tree) == {"tcp.rtt_s": 0.02, "tcp.new�": "yes", "aliases": "a, b�"}


def test_labels_prefer_alias_then_name_then_the_start_of_the_id() -> None:
    sample = read_sample(
        {},
        ExampleRows(
            ids=[peer_id(1), peer_id(2), peer_id(3)],
            text={"name": ["n1", "n2", ""], "alias": ["mine", "", ""]},
            numbers={},
        ),
    )
    assert list(sample.peers.labels) == ["mine", "n2", peer_id(3)[:14]]
