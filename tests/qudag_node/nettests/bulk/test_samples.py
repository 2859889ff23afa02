from __future__ import annotations

import zlib
from typing import Any, cast

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.nettests.bulk.samples import MAX_PACKED_BYTES, SampleError, Samples, sample_period_s


def packed(value: Any) -> bytes:
    return zlib.compress(cast("bytes", msgpack.packb(value)))


def test_what_is_packed_is_unpacked() -> None:
    samples = Samples()
    samples.add({"t_us": 0, "bytes": 0})
    samples.add({"t_us": 100_000, "bytes": 5_000})
    again = Samples.unpack(samples.pack())
    assert again.column("t_us") == [0, 100_000]
    assert again.at(1) == {"t_us": 100_000, "bytes": 5_000}
    assert again.column("nothing") == [0, 0]
    assert (again.last("bytes"), again.last("nothing")) == (5_000, 0)
    assert again.grown("bytes", 0, 1) == 5_000
    assert [again.index_at(at) for at in (0, 1, 100_000, 100_001)] == [0, 1, 1, 1]


def test_what_fits_is_not_thinned_out() -> None:
    samples = Samples({"t_us": list(range(0, 15_000_000, 100_000)), "bytes": [5] * 150})
    again = Samples.unpack(samples.pack())
    assert again.column("t_us") == samples.column("t_us")
    assert len(Samples.unpack(samples.pack(300))) < 150


@given(st.lists(st.integers(0, (1 << 62) - 1), min_size=2, max_size=900))
def test_any_samples_fit_into_a_message_and_keep_both_ends(values: list[int]) -> None:
    samples = Samples({"t_us": sorted(values), **{f"c{n}": values for n in range(14)}})
    data = samples.pack()
    assert len(data) <= MAX_PACKED_BYTES
    again = Samples.unpack(data)
    assert (again.at(0), again.at(-1)) == (samples.at(0), samples.at(-1))
    assert len(again) <= len(samples)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        packed([]),
        packed({}),
        packed({"t_us": 5}),
        packed({"t_us": [1, 2], "bytes": [1]}),
        packed({"t_us": [1, 2], "bytes": [1, "2"]}),
        packed({"t_us": [1, 2], "bytes": [1, True]}),
        packed({"t_us": [1, 2], "bytes": [1, 1.5]}),
        packed({"t_us": [1, 2], "bytes": [1, -1]}),
        packed({"t_us": [1, 2], "bytes": [1, 1 << 63]}),
        packed({"t_us": [2, 1]}),
        packed({"t_us": [1], 5: [1]}),
        packed({"t_us": [1], **{str(n): [1] for n in range(40)}}),
        packed({"t_us": [0] * (2 << 20)}),
    ],
    ids=lambda data: data[:12].hex(),
)
def test_what_a_stranger_made_up_is_refused(data: bytes) -> None:
    with pytest.raises(SampleError):
        Samples.unpack(data)


def test_a_long_test_has_no_more_samples_than_a_short_one() -> None:
    assert sample_period_s(5) == 0.1
    assert 3600 / sample_period_s(3600) <= 150
