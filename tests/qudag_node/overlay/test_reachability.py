from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qudag_node.overlay.reachability import Reachability, ReachabilityChange, ReachabilityKind

A, B, C = b"a", b"b", b"c"


def change(kind: ReachabilityKind, *nodes: bytes) -> ReachabilityChange:
    return ReachabilityChange(kind, nodes)


def test_what_is_lost_and_found_again_is_told_once_each() -> None:
    reachability = Reachability()
    assert reachability.update({A, B, C}, ()) == [change(ReachabilityKind.JOINED, A, B, C)]
    assert reachability.update({A}, ()) == [change(ReachabilityKind.PARTITION, B, C)]
    assert reachability.update({A}, ()) == []
    assert reachability.lost == {B, C}
    assert reachability.update({A, B, C}, ()) == [change(ReachabilityKind.HEALED, B, C)]
    assert (reachability.lost, reachability.reachable) == (set(), {A, B, C})


def test_a_node_that_said_goodbye_is_no_partition() -> None:
    reachability = Reachability()
    reachability.update({A, B, C}, ())
    assert reachability.update({A}, {B}) == [
        change(ReachabilityKind.PARTITION, C),
        change(ReachabilityKind.LEFT, B),
    ]
    assert reachability.update({A, B, C}, ()) == [
        change(ReachabilityKind.HEALED, C),
        change(ReachabilityKind.JOINED, B),
    ]


def test_lost_nodes_are_forgotten_in_the_end() -> None:
    reachability = Reachability(capacity=1)
    reachability.update({A}, ())
    reachability.update({B}, ())
    reachability.update(set(), ())
    assert reachability.lost == {B}


@given(steps=st.lists(st.tuples(st.sets(st.sampled_from([A, B, C])), st.sets(st.sampled_from([A, B, C])))))
def test_the_changes_add_up_to_what_is_reachable(steps: list[tuple[set[bytes], set[bytes]]]) -> None:
    reachability = Reachability()
    present: set[bytes] = set()
    for reachable, leaving in steps:
        for told in reachability.update(reachable, leaving):
            nodes = set(told.nodes)
            if told.kind in {ReachabilityKind.JOINED, ReachabilityKind.HEALED}:
                assert not nodes & present
                present |= nodes
            else:
                assert nodes <= present
                present -= nodes
        assert present == reachable == reachability.reachable
        assert not present & reachability.lost
