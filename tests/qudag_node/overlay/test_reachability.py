from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from qudag_node.overlay.reachability import Reachability, ReachabilityChange, ReachabilityKind

A, B, C = b"a", b"b", b"c"


def change(kind: ReachabilityKind, *nodes: bytes) -> ReachabilityChange:
    return ReachabilityChange(kind, nodes)


def test_what_is_lost_and_found_again_is_told_once_each() -> None:
    reachability = Reachability(hold_s=0.0)
    assert reachability.update({A, B, C}, (), 0.0) == [change(ReachabilityKind.JOINED, A, B, C)]
    assert reachability.update({A}, (), 0.0) == [change(ReachabilityKind.PARTITION, B, C)]
    assert reachability.update({A}, (), 0.0) == []
    assert reachability.lost == {B, C}
    assert reachability.update({A, B, C}, (), 0.0) == [change(ReachabilityKind.HEALED, B, C)]
    assert (reachability.lost, reachability.present) == (set(), {A, B, C})


def test_a_node_that_said_goodbye_is_no_partition() -> None:
    reachability = Reachability(hold_s=0.0)
    reachability.update({A, B, C}, (), 0.0)
    assert reachability.update({A}, {B}, 0.0) == [
        change(ReachabilityKind.PARTITION, C),
        change(ReachabilityKind.LEFT, B),
    ]
    assert reachability.update({A, B, C}, (), 0.0) == [
        change(ReachabilityKind.HEALED, C),
        change(ReachabilityKind.JOINED, B),
    ]


def test_lost_nodes_are_forgotten_in_the_end() -> None:
    reachability = Reachability(hold_s=0.0, capacity=1)
    reachability.update({A}, (), 0.0)
    reachability.update({B}, (), 0.0)
    reachability.update(set(), (), 0.0)
    assert reachability.lost == {B}


def test_a_node_that_is_back_in_a_moment_was_never_lost() -> None:
    reachability = Reachability(hold_s=0.25)
    reachability.update({A, B}, (), 1.0)
    assert reachability.due_mono_s == math.inf
    assert reachability.update({A}, (), 2.0) == []
    assert reachability.due_mono_s == 2.25
    assert reachability.update({A, B}, (), 2.2) == []
    assert reachability.due_mono_s == math.inf
    assert reachability.update({A}, (), 3.0) == []
    assert reachability.update({A}, (), 3.1) == []
    assert reachability.update({A}, (), 3.25) == [change(ReachabilityKind.PARTITION, B)]


def test_the_word_of_a_node_that_leaves_may_come_after_its_links_are_gone() -> None:
    reachability = Reachability(hold_s=0.25)
    reachability.update({A, B}, (), 1.0)
    assert reachability.update({A}, (), 2.0) == []
    assert reachability.update({A}, {B}, 2.1) == [change(ReachabilityKind.LEFT, B)]


@given(steps=st.lists(st.tuples(st.sets(st.sampled_from([A, B, C])), st.sets(st.sampled_from([A, B, C])))))
def test_the_changes_add_up_to_what_is_reachable(steps: list[tuple[set[bytes], set[bytes]]]) -> None:
    reachability = Reachability(hold_s=0.0)
    present: set[bytes] = set()
    for reachable, leaving in steps:
        for told in reachability.update(reachable, leaving, 0.0):
            nodes = set(told.nodes)
            if told.kind in {ReachabilityKind.JOINED, ReachabilityKind.HEALED}:
                assert not nodes & present
                present |= nodes
            else:
                assert nodes <= present
                present -= nodes
        assert present == reachable == reachability.present
        assert not present & reachability.lost
