from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_tui.model.filters import MAX_LENGTH, Filter, FilterError, matching_rows, parse_filter
from tests.qudag_tui.examples import NOON, sample

PEERS = sample().peers


def shown(text: str) -> list[str]:
    rows = matching_rows(parse_filter(text), PEERS, PEERS.by_label, NOON)
    return [PEERS.labels[row] for row in rows]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", "peer2 peer3 peer4 peer5 peer9"),
        ("PEER3", "peer3"),
        ("198.18.0.4", "peer4"),
        ("-peer3 !peer4", "peer2 peer5 peer9"),
        ("dir:in", "peer2 peer4"),
        ("dir:in -name:peer2", "peer4"),
        ("name=peer", ""),
        ("name=peer2,peer9", "peer2 peer9"),
        ("state:backoff,nonsense", "peer9"),
        ("rtt>30ms", "peer3 peer5"),
        ("rtt>0.03s", "peer3 peer5"),
        ("rtt<1ms", "peer2"),
        ("rtt=?", "peer9"),
        ("-rtt=?", "peer2 peer3 peer4 peer5"),
        ("-rtt>30ms", "peer2 peer4 peer9"),
        ("loss>1% rtt>50ms", "peer5"),
        ("loss>=0%", "peer2 peer3 peer4 peer5"),
        ("drop_out>0", "peer5"),
        ("hops:1", "peer2 peer3 peer4 peer5"),
        ("up>40m", "peer4 peer5"),
        ("up<=30min", "peer2 peer3"),
        ("out>0.3Mb/s", "peer3 peer4 peer5"),
        ("out>300k", "peer3 peer4 peer5"),
        ("queue_bytes>1KiB", "peer5"),
        ("queue_bytes>1k", "peer5"),
        ("hops!=1", "peer9"),
        ("hops!=1,2", "peer9"),
        ("rtt!=?", "peer2 peer3 peer4 peer5"),
        ("-rtt!=?", "peer9"),
        ("name!=peer3", "peer2 peer4 peer5 peer9"),
        ("name!=peer3,peer4 state!=backoff", "peer2 peer5"),
        ("-name!=peer3", "peer3"),
        ("retrans=7,8", "peer5"),
        ('name:"peer2"', "peer2"),
        ('"peer2"', "peer2"),
    ],
)
def test_what_a_filter_shows(text: str, names: str) -> None:
    assert shown(text) == names.split()


@pytest.mark.parametrize(
    ("text", "position", "problem"),
    [
        ("dir:in rttt>5ms", 7, "no field 'rttt': did you mean rtt?"),
        ("zzzzz:1", 0, "no field 'zzzzz'; ? lists the fields"),
        ("rtt>", 4, "rtt> needs a value"),
        ('rtt>""', 4, "rtt> needs a value"),
        ("rtt>fast", 4, "'fast' is not a number"),
        ("rtt>50", 6, "rtt needs a unit: ms or s"),
        ("-loss>1", 7, "loss needs a unit: %"),
        ("rtt>50kg", 6, "'kg' is not a unit of rtt: ms or s"),
        ("hops>1ms", 6, "'ms' is not a unit of hops: g, k, m, t"),
        ("name>3", 4, "name is a word: use name:… or name=…"),
        ("name!=", 6, "name!= needs a value"),
        ('x "name', 2, "this quote is never closed"),
        ("a -", 2, "nothing to negate here"),
        ("hops=1,,2", 7, "'' is not a number"),
        ("x" * (MAX_LENGTH + 1), MAX_LENGTH, "a filter has at most 512 characters"),
    ],
)
def test_what_cannot_be_read_is_shown_where_it_stands(text: str, position: int, problem: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter(text)
    assert (caught.value.position, str(caught.value)) == (position, problem)


def test_quotes_keep_spaces() -> None:
    assert len(parse_filter('agent:"a b" c').terms) == 2


@given(st.text(max_size=60))
def test_no_text_does_anything_but_filter_or_fail_with_a_position(text: str) -> None:
    try:
        wanted = parse_filter(text)
    except FilterError as error:
        assert 0 <= error.position <= len(text)
    else:
        assert isinstance(wanted, Filter)
        assert set(matching_rows(wanted, PEERS, PEERS.by_label, NOON)) <= set(range(5))
