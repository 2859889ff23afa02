from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from qudag_node.errors import ConfigError, DeclinedError, NodeError, PeerUnreachableError
from qudag_node.nettests import bandwidth
from qudag_node.nettests.bulksession import BulkPlan, open_bulk
from qudag_node.nettests.consent import Caps
from qudag_node.nettests.requests import BandwidthOptions
from qudag_node.nettests.results import Measured
from tests.qudag_node.nettests.loading import loading
from tests.qudag_node.overlay.links import until

CAPS = Caps(max_rate_bits_per_s=40e6)


def options(**values: Any) -> BandwidthOptions:
    return replace(BandwidthOptions(duration_s=1.0, loaded_latency=False), **values)


def check(measured: Measured, ways: int = 1) -> dict[str, Any]:
    """What must hold whatever the machine does."""
    fields: dict[str, Any] = dict(measured.fields)
    json.dumps(fields)
    for each in [fields, *([fields["reverse"]] if ways == 2 else [])]:
        assert each["goodput_bits_per_s"] > 0
        assert each["bottleneck"]["evidence"]
        assert each["bottleneck"]["text"] in measured.verdict
        for interval in each["intervals"]:
            assert interval["end_s"] > interval["start_s"]
    assert measured.success, measured
    assert measured.errors == ()
    return fields


async def test_tcp_forward_with_round_trips() -> None:
    async with loading("ab", caps=CAPS) as (bench, _):
        a, b = bench.nodes
        measured = await bandwidth.run(bench.context(a, b.id), options(loaded_latency=True))
        fields = check(measured)
        assert measured.method == fields["protocol"] == "tcp"
        assert (fields["direction"], fields["streams"]) == ("forward", 1)
        assert 0 < fields["rate_cap_bits_per_s"] <= CAPS.max_rate_bits_per_s
        assert fields["moved_bytes"] > 0
        assert fields["congestion_control"]
        assert fields["rtt_idle"]["samples"] > 0
        assert fields["rtt_loaded"]["samples"] > 0
        assert fields["rtt_loaded"]["min_s"] > 0
        assert measured.timestamps != "none"
        assert [told["direction"] for told in bench.told if "direction" in told]
        sent, received = a.port.traffic(), b.port.traffic()
        assert sent.sent_bytes >= fields["moved_bytes"]
        assert received.received_bytes >= fields["moved_bytes"]
        assert [len(each) for each in bench.responders.values()] == [0, 0]


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
async def test_both_ways_at_once_share_what_was_granted(protocol: str) -> None:
    async with loading("ab", caps=CAPS) as (bench, _):
        a, b = bench.nodes
        rate = 8e6 if protocol == "udp" else None
        wanted = options(direction="bidir", protocol=protocol, rate_bits_per_s=rate, streams=2)
        fields = check(await bandwidth.run(bench.context(a, b.id), wanted), 2)
        assert fields["rate_cap_bits_per_s"] == rate or 0 < fields["rate_cap_bits_per_s"] <= 20e6
        assert {each["direction"] for each in fields["intervals"]} == {"forward"}
        assert {each["direction"] for each in fields["reverse"]["intervals"]} == {"reverse"}


@pytest.mark.parametrize("direction", ["forward", "reverse"])
async def test_every_udp_packet_has_a_fate(direction: str) -> None:
    async with loading("ab", caps=CAPS) as (bench, _):
        a, b = bench.nodes
        wanted = options(protocol="udp", direction=direction, rate_bits_per_s=10e6, packet_bytes=1000)
        fields = check(await bandwidth.run(bench.context(a, b.id), wanted))
        fates = fields["received"] + fields["lost"] + fields["receiver_dropped"]
        assert fields["sent"] == fates > 0
        assert fields["sent"] <= 10e6 / 8000 + 60
        assert fields["loss_ratio"] == fields["lost"] / fields["sent"]
        assert fields["jitter_s"] >= 0


async def test_the_headers_of_small_packets_count_for_the_peer_s_limit() -> None:
    async with loading("ab", caps=Caps(max_rate_bits_per_s=4e6)) as (bench, _):
        a, b = bench.nodes
        wanted = options(protocol="udp", direction="reverse", rate_bits_per_s=2.5e6, packet_bytes=64)
        fields = check(await bandwidth.run(bench.context(a, b.id), wanted))
        assert fields["rate_cap_bits_per_s"] == pytest.approx(2.5e6)
        with pytest.raises(DeclinedError, match=r"at most 4 Mbit/s .* 4\.31 Mbit/s were asked"):
            await bandwidth.run(bench.context(a, b.id), replace(wanted, rate_bits_per_s=3e6))
        with pytest.raises(DeclinedError, match="packets of at least 64 bytes, 63 were asked"):
            await bandwidth.run(bench.context(a, b.id), replace(wanted, packet_bytes=63))


async def test_small_packets_are_no_more_than_usual_ones_would_be() -> None:
    async with loading("ab") as (bench, _):
        a, b = bench.nodes
        plan = BulkPlan(protocol="udp", duration_s=5.0, packet_bytes=100, is_search=True)
        async with await open_bulk(bench.context(a, b.id), plan) as session:
            # All that is left of 1 Gbit/s, in packets of 1428 bytes with their headers; payload of 100 each.
            assert session.cap_bits_per_s == pytest.approx(1e9 / (1428 * 8) * 800)


async def test_a_search_tries_rates_and_holds_the_one_it_found() -> None:
    async with loading("ab", caps=Caps(max_rate_bits_per_s=4e6)) as (bench, _):
        a, b = bench.nodes
        wanted = options(protocol="udp", direction="reverse", find="loss<90%")
        measured = await bandwidth.run(bench.context(a, b.id), wanted)
        fields = dict(measured.fields)
        steps: Any = fields["capacity_search"]
        assert steps
        for step in steps:
            assert step["sent"] >= step["received"] + step["receiver_dropped"]
            assert step["rate_bits_per_s"] <= 4e6
        # The peer lets through so much of whole packets, of which 28 bytes are headers.
        assert fields["rate_cap_bits_per_s"] == pytest.approx(4e6 * 1400 / 1428)
        if measured.success:
            assert steps[-1]["has_met"]
            assert fields["goodput_bits_per_s"] == steps[-1]["received_bits_per_s"]
            assert "highest rate found" in measured.verdict
        else:  # a machine too busy for 4 Mbit/s
            assert fields["goodput_bits_per_s"] is None


async def test_a_goal_that_speaks_of_delays_is_refused() -> None:
    async with loading("ab") as (bench, _):
        a, b = bench.nodes
        with pytest.raises(ConfigError, match="p99 is not one of loss, jitter"):
            await bandwidth.run(bench.context(a, b.id), options(protocol="udp", find="p99<5ms"))


async def test_who_is_no_neighbour_is_refused_with_the_way_there() -> None:
    async with loading("abcd") as (bench, _):
        a, _, _, d = bench.nodes
        with pytest.raises(
            PeerUnreachableError, match=r"d is no neighbour but 3 hops away, by way of b, c: .* test b"
        ):
            await bandwidth.run(bench.context(a, d.id), options())


async def test_who_is_banned_is_left_alone() -> None:
    async with loading("ab") as (bench, _):
        a, b = bench.nodes
        a.node.overlay.ban(b.id)
        await until(lambda: a.port.facts(b.id).link is None)
        with pytest.raises(PeerUnreachableError, match="is banned here"):
            await bandwidth.run(bench.context(a, b.id), options())


async def test_a_peer_declines_with_its_limit_and_nothing_runs_on() -> None:
    async with loading("ab", caps=Caps(max_duration_s=2)) as (bench, workers):
        a, b = bench.nodes
        with pytest.raises(DeclinedError, match="at most 2 s"):
            await bandwidth.run(bench.context(a, b.id), options(duration_s=3.0))
        with pytest.raises(DeclinedError, match="at most 1 Gbit/s"):
            await bandwidth.run(bench.context(a, b.id), options(rate_bits_per_s=2e9))
        assert bench.workers.running == workers.running == 0


async def test_one_test_loads_a_node_at_a_time() -> None:
    async with loading("ab", caps=CAPS) as (bench, _):
        a, b = bench.nodes
        plan = BulkPlan(protocol="tcp", duration_s=30.0)
        async with await open_bulk(bench.context(a, b.id), plan):
            with pytest.raises(DeclinedError, match="busy: 1 tests that load the network"):
                await open_bulk(bench.context(a, b.id), plan)
        assert len(bench.responders[b.id]) == 0


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
async def test_a_test_that_is_stopped_tells_what_it_has(protocol: str) -> None:
    async with loading("ab", caps=CAPS) as (bench, workers):
        a, b = bench.nodes
        stopping = asyncio.Event()
        context = bench.context(a, b.id, stopping=stopping)
        wanted = options(duration_s=50.0, protocol=protocol, rate_bits_per_s=8e6)
        running = asyncio.create_task(bandwidth.run(context, wanted))
        await until(lambda: len(bench.told) > 2)
        stopping.set()
        fields = check(await running)
        assert 0 < fields["intervals"][-1]["end_s"] < 50
        await until(lambda: workers.running == 0)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
async def test_the_other_end_s_process_dies_in_the_middle(direction: str) -> None:
    async with loading("ab", caps=CAPS) as (bench, workers):
        a, b = bench.nodes
        running = asyncio.create_task(
            bandwidth.run(bench.context(a, b.id), options(duration_s=50.0, direction=direction))
        )
        await until(lambda: len(bench.told) > 2)
        await workers.close()
        measured = await running
        assert not measured.success
        fields: dict[str, Any] = dict(measured.fields)
        assert fields["goodput_bits_per_s"] > 0
        assert any("ended after" in line for line in measured.errors)
        assert any("the peer's end failed" in line for line in measured.errors)


async def test_a_peer_that_goes_away_in_the_middle() -> None:
    async with loading("ab", caps=CAPS) as (bench, workers):
        a, b = bench.nodes
        running = asyncio.create_task(bandwidth.run(bench.context(a, b.id), options(duration_s=50.0)))
        await until(lambda: len(bench.told) > 2)
        a.node.overlay.ban(b.id)
        await workers.close()
        measured = await running
        assert not measured.success
        assert measured.fields["goodput_bits_per_s"]
        assert any("the peer's counts are missing" in line for line in measured.errors)
        assert re.fullmatch(
            r"b went away after [\d.]+ s; until then [\d.]+ [kMG]?bit/s there", measured.verdict
        )


async def test_leaving_in_the_middle_frees_both_ends() -> None:
    async with loading("ab", caps=CAPS) as (bench, workers):
        a, b = bench.nodes
        running = asyncio.create_task(bandwidth.run(bench.context(a, b.id), options(duration_s=50.0)))
        await until(lambda: len(bench.told) > 2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await until(lambda: workers.running == bench.workers.running == 0)
        assert len(bench.responders[b.id]) == 0


async def test_a_job_that_cannot_be_done_is_a_line() -> None:
    async with loading("ab", caps=CAPS) as (bench, workers):
        a, b = bench.nodes
        with pytest.raises(NodeError, match="no congestion control 'nonsense'"):
            await bandwidth.run(bench.context(a, b.id), options(congestion_control="nonsense"))
        await until(lambda: workers.running == bench.workers.running == 0)
