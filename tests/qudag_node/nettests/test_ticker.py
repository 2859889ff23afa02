"""Moments to send at: none is left out however late the loop is, and none comes after the end."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from qudag_node.nettests.ticker import Ticker


def tickers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "ticker"]


async def test_every_moment_comes_at_its_distance_from_the_first() -> None:
    async with Ticker(interval_s=0.002, count=20) as ticker:
        due = [due_mono_s async for due_mono_s in ticker]
        begin = ticker.begin_mono_s
    assert due == pytest.approx([begin + number * 0.002 for number in range(20)])
    assert due[-1] <= time.monotonic()
    assert not tickers()


async def test_a_loop_that_stood_still_gets_all_it_missed_with_the_moments_they_were_due() -> None:
    async with Ticker(interval_s=0.001, count=50) as ticker:
        moments = aiter(ticker)
        first = await anext(moments)
        time.sleep(0.2)  # noqa: ASYNC251  # it is to stand still
        due = [first, *[due_mono_s async for due_mono_s in moments]]
    assert due == pytest.approx([ticker.begin_mono_s + number * 0.001 for number in range(50)])
    assert ticker.missed == 0


async def test_it_ends_at_once_when_it_is_to_stop_even_in_a_long_wait() -> None:
    stopping = asyncio.Event()
    seen = 0
    async with asyncio.timeout(20), Ticker(interval_s=3600.0, stopping=stopping) as ticker:
        async for _ in ticker:
            seen += 1
            stopping.set()
    assert seen == 1
    assert not tickers()


async def test_leaving_early_ends_the_thread() -> None:
    async with Ticker(interval_s=0.001) as ticker:
        async for _ in ticker:
            break
    assert not tickers()
    with pytest.raises(StopAsyncIteration):
        await anext(ticker)


async def test_no_moments_at_all() -> None:
    async with Ticker(interval_s=1.0, count=0) as ticker:
        assert [due async for due in ticker] == []


@pytest.mark.parametrize(("interval_s", "count"), [(0.0, 1), (-1.0, None), (1.0, -1)])
def test_senseless_moments_are_refused(interval_s: float, count: int | None) -> None:
    with pytest.raises(ValueError, match="moments"):
        Ticker(interval_s=interval_s, count=count)
