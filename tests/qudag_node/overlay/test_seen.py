from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.overlay.seen import SeenCache

# Few different ids, so that most come again.
ids = st.lists(st.integers(0, 40).map(lambda n: n.to_bytes(4, "big")), max_size=300)


@given(ids=ids, capacity=st.integers(2, 20))
def test_the_last_half_capacity_of_different_ids_is_never_forgotten(ids: list[bytes], capacity: int) -> None:
    cache = SeenCache(capacity)
    order: list[bytes] = []
    for identity in ids:
        is_recent = identity in order[-(capacity // 2) :]
        is_new = cache.add(identity, 0.0)
        assert not (is_recent and is_new)
        assert identity in cache
        if identity in order:
            order.remove(identity)
        order.append(identity)
        assert all(recent in cache for recent in order[-(capacity // 2) :])


@given(ids=ids, capacity=st.integers(2, 20))
def test_the_cache_never_holds_more_than_its_capacity_and_invents_nothing(
    ids: list[bytes], capacity: int
) -> None:
    cache = SeenCache(capacity)
    added: set[bytes] = set()
    for identity in ids:
        assert identity in added or identity not in cache
        assert cache.add(identity, 0.0) or identity in added
        added.add(identity)
        assert len(cache) <= capacity


@given(waits=st.lists(st.floats(0, 30), max_size=60))
def test_with_a_time_to_live_ids_last_between_one_and_two_of_it(waits: list[float]) -> None:
    cache = SeenCache(1000, ttl_s=10)
    now, seen_at = 0.0, dict[bytes, float]()
    for number, wait_s in enumerate(waits):
        now += wait_s
        identity = number.to_bytes(4, "big")
        cache.add(identity, now)
        seen_at[identity] = now
        for other, at in seen_at.items():
            if now - at < 10:
                assert other in cache


def test_after_two_times_to_live_the_memory_is_free_again() -> None:
    cache = SeenCache(1000, ttl_s=10)
    for number in range(100):
        cache.add(number.to_bytes(4, "big"), 0.0)
    cache.add(b"later", 10.0)
    cache.add(b"latest", 20.0)
    assert len(cache) == 2


def test_what_still_circulates_is_not_forgotten() -> None:
    cache = SeenCache(8)
    for number in range(100):
        cache.add(b"circling", 0.0)
        assert cache.add(number.to_bytes(4, "big"), 0.0)
        assert b"circling" in cache


def test_a_cache_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="below 2"):
        SeenCache(1)


def test_an_id_that_comes_again_is_held_once() -> None:
    cache = SeenCache(8)
    for identity in (b"a", b"b", b"c", b"d", b"e", b"a"):
        cache.add(identity, 0.0)
    assert len(cache) == 5
