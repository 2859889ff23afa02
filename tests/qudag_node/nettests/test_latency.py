from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from typing import Any

import pytest
from hdrh.histogram import HdrHistogram

from qudag_node.errors import DeclinedError, PeerUnreachableError
from qudag_node.nettests import latency
from qudag_node.nettests.consent import Caps
from qudag_node.nettests.requests import LatencyOptions
from tests.qudag_node.nettests.loading import loading
from tests.qudag_node.overlay.links import until

CAPS = Caps(max_rate_bits_per_s=20e6)
PHASES = ("idle", "up", "down", "both")


def options(**values: Any) -> LatencyOptions:
    return replace(LatencyOptions(duration_s=1.0, streams=1), **values)


async def test_idle_only() -> None:
    async with loading("ab", caps=CAPS) as (bench, _):
        a, b = bench.nodes
        measured = await latency.run(bench.context(a, b.id), options())
        fields: dict[str, Any] = dict(measured.fields)
        assert measured.success, measured
        assert [name for name in PHASES if fields[name] is not None] == ["idle"]
        assert (fields["grade"], fields["rfc6349"]) == (None, None)
        idle = fields["idle"]
        assert idle["samples"] > 10
        histogram = HdrHistogram.decode(idle["hdr"].encode())
        assert histogram.get_total_count() == idle["samples"]
        assert base64.b64decode(idle["hdr"])


async def test_four_phases_are_told_apart() -> None:
    async with loading("ab", caps=CAPS) as (bench, workers):
        a, b = bench.nodes
        measured = await latency.run(bench.context(a, b.id), options(load=True))
        fields: dict[str, Any] = dict(measured.fields)
        assert measured.success, measured
        for name in PHASES:
            assert fields[name]["samples"] > 0
        for name, ways in (("idle", ()), ("up", ("up",)), ("down", ("down",)), ("both", ("up", "down"))):
            for way in ("up", "down"):
                assert (fields[name][f"{way}_bits_per_s"] is not None) == (way in ways)
        assert fields["grade"] in {"A+", "A", "B", "C", "D", "F"}
        assert set(fields["added_p95_s"]) == {"up", "down", "both"}
        for ratios in fields["rfc6349"].values():
            assert ratios["tcp_transfer_time_ratio"] >= 1
            assert 0 < ratios["tcp_efficiency_ratio"] <= 1
        assert "bufferbloat grade" in measured.verdict
        done = [told["done"] for told in bench.told]
        assert done == sorted(done) or max(done) <= 1
        assert workers.running == 0


async def test_a_profile_that_is_stopped_tells_what_it_has() -> None:
    async with loading("ab", caps=CAPS) as (bench, _):
        a, b = bench.nodes
        stopping = asyncio.Event()
        context = bench.context(a, b.id, stopping=stopping)
        running = asyncio.create_task(latency.run(context, options(load=True, duration_s=1.0)))
        await until(lambda: any(told["line"].startswith("up: ") for told in bench.told))
        stopping.set()
        measured = await running
        assert measured.fields["idle"] is not None
        assert measured.fields["both"] is None
        assert measured.success


async def test_a_peer_that_goes_away_under_load_is_said_to_have_gone() -> None:
    async with loading("ab", caps=CAPS) as (bench, workers):
        a, b = bench.nodes
        running = asyncio.create_task(latency.run(bench.context(a, b.id), options(load=True, duration_s=3.0)))
        await until(lambda: any(told["line"].startswith("up: ") for told in bench.told))
        a.node.overlay.ban(b.id)
        await workers.close()
        measured = await running
        assert not measured.success
        assert measured.verdict.startswith("b: in the phase up it ")
        assert "; until then " in measured.verdict
        assert measured.fields["idle"] is not None
        assert measured.fields["down"] is None


async def test_who_is_no_neighbour_or_declines_is_a_line() -> None:
    async with loading("abc", caps=Caps(is_enabled=False)) as (bench, _):
        a, b, c = bench.nodes
        with pytest.raises(PeerUnreachableError, match="a latency profile measures a link"):
            await latency.run(bench.context(a, c.id), options())
        with pytest.raises(DeclinedError, match="takes part in no tests"):
            await latency.run(bench.context(a, b.id), options())
