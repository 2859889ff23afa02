"""Rings against a model that keeps every sample."""

from collections.abc import Callable
from math import floor, isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.history.rings import Ring, Rings, Tier, fold_points
from qudag_node.history.series import Fold

FOLDS: dict[Fold, Callable[[list[float]], float]] = {
    Fold.MEAN: lambda values: sum(values) / len(values),
    Fold.LAST: lambda values: values[-1],
    Fold.MAX: max,
    Fold.MIN: min,
}


def rings_of(*tiers: Tier) -> Rings:
    rings = Rings(tiers)
    for fold in Fold:
        assert rings.add(fold) == fold
    return rings


def push(rings: Rings, at_unix_s: float, values: dict[int, float]) -> None:
    sample = rings.sample()
    for series, value in values.items():
        sample[series] = value
    rings.push(at_unix_s, sample)


samples = st.lists(
    st.tuples(st.integers(1, 12), st.floats(-1000, 1000, width=32) | st.just(nan)), min_size=1, max_size=60
)


@given(steps=samples, fold=st.sampled_from(Fold))
def test_each_point_is_the_fold_of_the_samples_in_it(steps: list[tuple[int, float]], fold: Fold) -> None:
    tiers = (Tier(1, 40), Tier(4, 30), Tier(12, 30))
    rings = rings_of(*tiers)
    at_unix_s = 1000
    kept: list[tuple[int, float]] = []
    for step, value in steps:
        at_unix_s += step
        push(rings, at_unix_s, {fold: value})
        kept.append((at_unix_s, value))
    for number, tier in enumerate(tiers):
        newest = floor(at_unix_s / tier.step_s)
        first = newest - tier.slots + 1
        points = rings.read(fold, number, first, tier.slots, 1)
        for bucket, point in zip(range(first, newest + 1), points, strict=True):
            inside = [v for t, v in kept if t // tier.step_s == bucket and not isnan(v)]
            assert (
                (point == pytest.approx(FOLDS[fold](inside), rel=1e-5, abs=1e-3)) if inside else isnan(point)
            )


@given(steps=samples, fold=st.sampled_from(Fold), together=st.integers(2, 5))
def test_points_read_together_are_folded_again(
    steps: list[tuple[int, float]], fold: Fold, together: int
) -> None:
    rings = rings_of(Tier(1, 100))
    for at_unix_s, (_, value) in enumerate(steps, 1000):
        push(rings, at_unix_s, {fold: value})
    points = rings.read(fold, 0, 1000, 12, together)
    for start, point in zip(range(0, 12 * together, together), points, strict=True):
        inside = [value for _, value in steps[start : start + together] if not isnan(value)]
        assert (point == pytest.approx(FOLDS[fold](inside), rel=1e-5, abs=1e-3)) if inside else isnan(point)


def test_a_time_without_samples_is_a_gap_and_not_what_was_a_lap_ago() -> None:
    rings = rings_of(Tier(1, 5))
    for at_unix_s in range(10, 15):
        push(rings, at_unix_s, {Fold.MEAN: at_unix_s})
    push(rings, 17, {Fold.MEAN: 17.0})
    points = rings.read(Fold.MEAN, 0, 10, 9, 1)
    assert np.array_equal(points, [10, 11, nan, 13, 14, nan, nan, 17, nan], equal_nan=True)


def test_samples_that_drift_over_the_boundary_leave_no_gap() -> None:
    rings = rings_of(Tier(1, 30))
    times = [100 + second + (0.02 if second % 2 else -0.02) for second in range(1, 20)]
    for at_unix_s in times:
        push(rings, at_unix_s, {Fold.MEAN: 1.0})
    assert not np.isnan(rings.read(Fold.MEAN, 0, 101, 18, 1)).any()


def test_a_clock_that_is_set_back_writes_where_it_says() -> None:
    rings = rings_of(Tier(1, 10))
    push(rings, 1000, {Fold.MEAN: 1.0})
    push(rings, 500, {Fold.MEAN: 2.0})
    assert rings.read(Fold.MEAN, 0, 500, 1, 1)[0] == 2
    assert rings.end_unix_s == 501


def test_a_forgotten_series_is_empty_and_the_others_are_not() -> None:
    rings = rings_of(Tier(1, 10), Tier(5, 10))
    push(rings, 100, {Fold.MEAN: 1.0, Fold.MAX: 2.0})
    rings.forget(Fold.MEAN)
    push(rings, 100.2, {Fold.MAX: 1.0})
    for tier, bucket in ((0, 100), (1, 20)):
        assert isnan(rings.read(Fold.MEAN, tier, bucket, 1, 1)[0])
        assert rings.read(Fold.MAX, tier, bucket, 1, 1)[0] == 2


def test_series_may_come_later() -> None:
    rings = rings_of(Tier(1, 10))
    push(rings, 1, {Fold.MEAN: 1.0})
    late = [rings.add(Fold.MEAN) for _ in range(100)]
    push(rings, 2, {late[-1]: 5.0})
    assert len(rings) == 104
    assert np.array_equal(rings.read(late[-1], 0, 1, 2, 1), [nan, 5], equal_nan=True)
    assert np.array_equal(rings.read(Fold.MEAN, 0, 1, 2, 1), [1, nan], equal_nan=True)


@pytest.mark.parametrize(
    ("from_unix_s", "step_s", "tier"),
    [(995, 0, 0), (995, 9, 0), (995, 10, 1), (950, 1, 1), (950, 100, 2), (600, 1, 2), (0, 1, 2)],
)
def test_the_tier_that_reaches_back_and_is_fine_enough_is_read(
    from_unix_s: float, step_s: float, tier: int
) -> None:
    rings = rings_of(Tier(1, 10), Tier(10, 10), Tier(60, 10))
    push(rings, 1000, {})
    assert rings.tier_for(from_unix_s, step_s) == tier


def test_an_empty_group_has_no_end() -> None:
    rings = Rings((Tier(1, 10),))
    assert rings.end_unix_s == 0
    assert rings.nbytes == 10 * (8 + 4)


@pytest.mark.parametrize(("step_s", "slots"), [(0, 5), (-1, 5), (1, 0)])
def test_a_tier_has_a_step_and_slots(step_s: float, slots: int) -> None:
    with pytest.raises(ValueError, match="tier"):
        Tier(step_s, slots)


def test_a_ring_says_what_it_takes() -> None:
    ring = Ring(Tier(1, 10))
    ring.grow()
    assert ring.nbytes == 10 * (8 + 4)
    ring.store(3, 0, 1.0)
    assert ring.nbytes == 10 * (8 + 4) + 10 * 16 * 4


def test_a_series_takes_memory_when_a_sample_differs_and_not_before() -> None:
    rings = rings_of(Tier(1, 10))
    before = rings.nbytes
    for second in range(5):
        push(rings, second, {Fold.MEAN: 3.0, Fold.MAX: nan})
    assert rings.nbytes == before
    push(rings, 5, {Fold.MEAN: 4.0, Fold.MAX: nan})
    assert rings.nbytes == before + 10 * 16 * 4
    assert np.array_equal(rings.read(Fold.MEAN, 0, 0, 6, 1), [3, 3, 3, 3, 3, 4])


@given(
    steps=st.lists(
        st.tuples(st.integers(-3, 9), *[st.sampled_from([0.0] * 20 + [nan, 2.0, 7.0])] * 3), max_size=40
    ),
    late=st.integers(0, 10),
    fold=st.sampled_from(Fold),
)
def test_series_that_mostly_stay_the_same_have_the_points_of_any_other(
    steps: list[tuple[int, float, float, float]], late: int, fold: Fold
) -> None:
    tiers = (Tier(1, 40), Tier(4, 30))
    rings, numbers = Rings(tiers), list[int]()
    kept: list[tuple[int, tuple[float, ...]]] = []
    held: list[dict[int, tuple[int, list[int]]]] = [{}, {}]
    latest = [-1, -1]
    at_unix_s = 1000
    for number, (step, *values) in enumerate(steps):
        # Every second or more, or back by more than drift: never what a ring takes for drift.
        at_unix_s += step if step < -1 else abs(step) * 2 + 2
        while len(numbers) < (3 if number >= late else 1):
            numbers.append(rings.add(fold))
        sample = rings.sample()
        sample[numbers] = values[: len(numbers)]
        rings.push(at_unix_s, sample)
        kept.append((at_unix_s, (*values[: len(numbers)], nan, nan)))
        for which, tier in enumerate(tiers):
            bucket = at_unix_s // int(tier.step_s)
            slot = bucket % tier.slots
            members = held[which][slot][1] if bucket == latest[which] else []
            held[which][slot] = (bucket, [*members, number])
            latest[which] = bucket
    for which in range(len(tiers)):
        for bucket, members in held[which].values():
            for series, of_rings in enumerate(numbers):
                inside = [v for v in (kept[member][1][series] for member in members) if not isnan(v)]
                (point,) = rings.read(of_rings, which, bucket, 1, 1)
                assert point == pytest.approx(FOLDS[fold](inside)) if inside else isnan(point)


@pytest.mark.parametrize("fold", Fold)
def test_nothing_folds_to_nothing(fold: Fold) -> None:
    assert np.isnan(fold_points(np.full((3, 4), nan, np.float32), fold)).all()
