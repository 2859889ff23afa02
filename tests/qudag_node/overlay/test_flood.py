from __future__ import annotations

import pytest

from qudag_node.overlay.flood import Flood, Refusal
from qudag_node.overlay.frames import RemoteFault
from qudag_node.overlay.seen import SeenCache
from qudag_node.overlay.signing import Verifier
from qudag_node.overlay.vertices import Vertex, sign_vertex
from tests.qudag_node.overlay.keys import NETWORK, signer_of

NOW_NS = 1_700_000_000 * 10**9
DAY_NS = 24 * 3600 * 10**9


def flood_of(number: int, capacity: int = 1000) -> Flood:
    return Flood(signer_of(number), Verifier(NETWORK), SeenCache(capacity))


def receive(flood: Flood, encoded: bytes) -> Vertex | Refusal:
    return flood.receive(encoded, now_unix_ns=NOW_NS, now_mono_s=0.0)


def test_a_vertex_is_accepted_once() -> None:
    vertex = flood_of(1).submit(b"payload", now_unix_ns=NOW_NS, now_mono_s=0.0)
    flood = flood_of(2)
    assert receive(flood, vertex.encoded) == vertex
    assert receive(flood, vertex.encoded) is Refusal.DUPLICATE


def test_an_id_that_is_known_already_is_not_computed_again() -> None:
    vertex = flood_of(1).submit(b"payload", now_unix_ns=NOW_NS, now_mono_s=0.0)
    flood = flood_of(2)
    for expected in (vertex, Refusal.DUPLICATE):
        judged = flood.receive(vertex.encoded, now_unix_ns=NOW_NS, now_mono_s=0.0, identity=vertex.id)
        assert judged == expected


def test_our_own_vertex_coming_back_is_a_duplicate() -> None:
    flood = flood_of(1)
    vertex = flood.submit(b"payload", now_unix_ns=NOW_NS, now_mono_s=0.0)
    assert receive(flood, vertex.encoded) is Refusal.DUPLICATE


def test_each_vertex_stands_on_the_tips_before_it() -> None:
    flood = flood_of(1)
    first, second = (flood.submit(bytes([n]), now_unix_ns=NOW_NS, now_mono_s=0.0) for n in range(2))
    assert (first.parents, second.parents) == ((), (first.id,))
    third = flood.submit(b"third", now_unix_ns=NOW_NS, now_mono_s=0.0)
    assert third.parents == (second.id,)


def test_a_vertex_with_unknown_parents_is_accepted() -> None:
    vertex = sign_vertex(signer_of(1), b"", [bytes(32), bytes(31) + b"\1"], origin_unix_ns=NOW_NS)
    flood = flood_of(2)
    assert receive(flood, vertex.encoded) == vertex


def test_a_false_signature_is_the_senders_fault_and_leaves_no_trace() -> None:
    vertex = sign_vertex(signer_of(1), b"payload", [], origin_unix_ns=NOW_NS)
    changed = bytearray(vertex.encoded)
    changed[-1] ^= 1
    flood = flood_of(2)
    for _ in range(2):
        with pytest.raises(RemoteFault) as caught:
            receive(flood, bytes(changed))
        assert caught.value.cause == "vertex_signature"
    assert flood.submit(b"mine", now_unix_ns=NOW_NS, now_mono_s=0.0).parents == ()
    assert receive(flood, vertex.encoded) == vertex


@pytest.mark.parametrize(
    ("error_ns", "is_accepted"),
    [(0, True), (-DAY_NS, True), (DAY_NS, True), (-DAY_NS - 1, False), (DAY_NS + 1, False)],
)
def test_a_clock_may_be_wrong_by_a_day(error_ns: int, is_accepted: bool) -> None:
    vertex = sign_vertex(signer_of(1), b"", [], origin_unix_ns=NOW_NS + error_ns)
    assert receive(flood_of(2), vertex.encoded) == (vertex if is_accepted else Refusal.STALE)
