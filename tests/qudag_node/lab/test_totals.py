import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.lab.topology import Direction, NodeName
from qudag_node.lab.totals import Count, PeerReading, Round, compare, settled

A, B = NodeName("peer1"), NodeName("peer2")
THERE = Direction(A, B)


def a_round(
    sent: int, received: int | None, *, queued: int = 0, unconfirmed: int = 0, kind: str = "data"
) -> Round:
    readings = {
        A: {
            B: PeerReading(
                sent={kind: Count(sent, sent * 100)},
                queued=queued,
                unconfirmed=Count(unconfirmed, unconfirmed * 100),
            )
        }
    }
    if received is not None:
        readings[B] = {A: PeerReading(received={kind: Count(received, received * 100)})}
    return readings


def compared(
    first: Round, middle: Round, last: Round, *, sent_before: int = 0, received_before: int = 0
) -> dict[str, object]:
    totals = compare(
        THERE,
        (first, middle, last),
        sent_before={"data": Count(sent_before, sent_before * 100)},
        received_before={"data": Count(received_before, received_before * 100)},
    )
    return {"verdict": totals.verdict, "settled": settled(totals), "difference": totals.difference}


def test_sides_that_agree_are_settled() -> None:
    same = a_round(10, 10)
    assert compared(same, same, same) == {"verdict": "equal", "settled": True, "difference": Count(0, 0)}


def test_sides_that_agree_while_the_sender_goes_on_are_not_settled_yet() -> None:
    assert not compared(a_round(9, 9), a_round(10, 10), a_round(10, 10))["settled"]


def test_what_waits_in_a_queue_is_not_settled_yet() -> None:
    waiting = a_round(10, 10, queued=1)
    assert not compared(waiting, waiting, waiting)["settled"]


def test_what_is_still_on_its_way_is_a_difference() -> None:
    late = a_round(10, 7)
    assert compared(late, late, late) == {
        "verdict": "different",
        "settled": False,
        "difference": Count(3, 300),
    }


def test_a_loss_that_the_sender_knows_of_is_explained() -> None:
    lost = a_round(10, 7, unconfirmed=3)
    assert compared(lost, lost, lost)["verdict"] == "unconfirmed"
    assert compared(lost, lost, lost)["settled"]


def test_a_receiver_that_counted_more_than_was_sent_is_never_explained() -> None:
    odd = a_round(7, 10, unconfirmed=30)
    assert compared(odd, odd, odd)["verdict"] == "different"


def test_nobody_to_compare_with() -> None:
    alone = a_round(10, None, unconfirmed=2)
    assert compared(alone, alone, alone) == {"verdict": "receiver-down", "settled": False, "difference": None}


def test_nobody_to_ask_what_was_sent() -> None:
    deaf = {B: {A: PeerReading(received={"data": Count(3, 300)})}}
    assert compared(deaf, deaf, deaf) == {"verdict": "sender-down", "settled": False, "difference": None}


def test_a_restarted_receiver_is_compared_from_its_start_on() -> None:
    after = a_round(15, 5)
    assert compared(after, after, after, sent_before=10)["verdict"] == "equal"


def test_a_restarted_sender_is_compared_from_its_start_on() -> None:
    after = a_round(5, 15)
    assert compared(after, after, after, received_before=10)["verdict"] == "equal"


def test_types_are_compared_one_by_one() -> None:
    same = {
        A: {B: PeerReading(sent={"data": Count(1, 10), "ping": Count(2, 20)})},
        B: {A: PeerReading(received={"data": Count(2, 20), "ping": Count(1, 10)})},
    }
    totals = compare(THERE, (same, same, same), sent_before={}, received_before={})
    assert totals.difference == Count(0, 0)
    assert totals.verdict == "different"
    assert not settled(totals)


def test_the_json_names_each_type_that_passed() -> None:
    same = a_round(10, 10)
    totals = compare(THERE, (same, same, same), sent_before={}, received_before={})
    assert totals.to_json() == {
        "from": "peer1",
        "to": "peer2",
        "verdict": "equal",
        "difference": {"messages": 0, "bytes": 0},
        "unconfirmed": {"messages": 0, "bytes": 0},
        "queued": 0,
        "by_type": {
            "data": {"sent": {"messages": 10, "bytes": 1000}, "received": {"messages": 10, "bytes": 1000}}
        },
    }


def test_a_nodes_answer_is_read() -> None:
    counts = {"sent": 1, "sent_bytes": 10, "received": 2, "received_bytes": 20, "processed": 2}
    row = {"queue_messages": 3, "unconfirmed_messages": 4, "unconfirmed_bytes": 40}
    assert PeerReading.from_answer({"row": row, "by_type": {"data": counts}}) == PeerReading(
        sent={"data": Count(1, 10)}, received={"data": Count(2, 20)}, queued=3, unconfirmed=Count(4, 40)
    )


@given(
    sends=st.lists(st.integers(0, 3), min_size=6, max_size=30),
    hears=st.lists(st.integers(0, 3), min_size=6, max_size=30),
)
def test_only_equal_counts_are_ever_settled_whatever_happens_between_the_readings(
    sends: list[int], hears: list[int]
) -> None:
    """The sender and the receiver move on between any two questions; a verdict is never wrong."""
    sent = received = 0
    rounds: list[Round] = []
    for more, heard in zip(sends, hears, strict=False):
        at_sender = a_round(sent, None)[A]
        sent += more
        received = min(sent, received + heard)
        rounds.append({A: at_sender, B: {A: PeerReading(received={"data": Count(received, received * 100)})}})
        if len(rounds) >= 3:
            totals = compare(THERE, (rounds[-3], rounds[-2], rounds[-1]), sent_before={}, received_before={})
            if settled(totals):
                assert totals.sent == totals.received


@pytest.mark.parametrize("missing", [A, B])
def test_a_node_that_does_not_answer_settles_nothing(missing: NodeName) -> None:
    same = a_round(10, 10)
    gap = {name: reading for name, reading in same.items() if name != missing}
    for rounds in ((gap, gap, gap), (same, gap, gap)):
        assert not settled(compare(THERE, rounds, sent_before={}, received_before={}))
