"""The IP path of an address, against a chain of four network namespaces whose addresses are known."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from qudag_node.nettests import iptrace
from qudag_node.nettests.worker.jobs import JobError
from qudag_node.nettests.workers import WorkerError, Workers
from tests.conftest import REPO
from tests.needs import has_ipv6, need

CHAIN = Path(__file__).with_name("chain.sh")


class Unhurried:
    """A channel to nobody; ``stops_at`` is the wait at which it says that it is enough."""

    def __init__(self, stops_at: int | None = None) -> None:
        self.stops_at = stops_at
        self.waits = 0

    def is_stopping(self) -> bool:
        return self.stops_at is not None and self.waits >= self.stops_at

    def wait_stop(self, timeout_s: float | None) -> bool:
        self.waits += 1
        time.sleep(0 if timeout_s is None or self.is_stopping() else timeout_s)
        return self.is_stopping()


def traced(address: str, *, channel: Unhurried | None = None, **params: object) -> dict[str, Any]:
    wanted = {"address": address, "interval_s": 0.0, **params}
    return iptrace.run(wanted, channel or Unhurried())  # type: ignore[arg-type]  # all that it uses


def path_of(result: dict[str, Any], number: int) -> list[tuple[int, str, str, int]]:
    """What answered in one round: ttl, address, reason, links back."""
    return [(ttl, who, why, back) for round_, ttl, who, why, _, back in result["answers"] if round_ == number]


def result_rows(result: dict[str, Any]) -> list[tuple[int, str, str, int]]:
    """What answered in all rounds."""
    return [row for number in range(len(result["sent"])) for row in path_of(result, number)]


@pytest.fixture(scope="module")
def chain() -> dict[str, dict[str, Any]]:
    """What was found in the chain, by address; all at once, since the chain takes a second to make."""
    need(shutil.which("unshare") is not None and shutil.which("ip") is not None, "unshare and ip")
    command = ["unshare", "-Urn", "bash", str(CHAIN)]
    probe = subprocess.run([*command, "true"], capture_output=True, text=True)
    need(not probe.returncode, f"network namespaces that any user may make ({probe.stderr.strip()})")
    code = "from tests.qudag_node.nettests.test_iptrace import in_the_chain; in_the_chain()"
    run = subprocess.run(
        [*command, sys.executable, "-c", code], capture_output=True, text=True, cwd=REPO, timeout=60
    )
    assert run.returncode == 0, run.stderr
    found: dict[str, dict[str, Any]] = json.loads(run.stdout)
    return found


def in_the_chain() -> None:
    patient: dict[str, Any] = {"timeout_s": 10.0, "least_wait_s": 10.0}
    found: dict[str, dict[str, Any]] = {}
    for address in ("10.77.3.2", "fd77:3::2"):
        # The neighbours' hardware addresses are asked for by the first packets; these are none of ours.
        traced(address, rounds=3, max_hops=4)
        found[address] = traced(address, rounds=3, max_hops=8, **patient)
    # Of IPv4 addresses that it has no route to, Linux tells each host about once a second, whatever is set.
    found["fd88::1"] = traced("fd88::1", rounds=1, max_hops=8, **patient)
    found["10.77.3.2 two hops"] = traced("10.77.3.2", rounds=1, max_hops=2, **patient)
    found["10.77.3.9"] = traced("10.77.3.9", rounds=1, max_hops=9, timeout_s=0.2)
    json.dump(found, sys.stdout)


@pytest.mark.parametrize(
    ("address", "way"),
    [
        ("10.77.3.2", ["10.77.1.2", "10.77.2.2", "10.77.3.2"]),
        ("fd77:3::2", ["fd77:1::2", "fd77:2::2", "fd77:3::2"]),
    ],
)
def test_every_router_of_the_chain_is_found(
    chain: dict[str, dict[str, Any]], address: str, way: list[str]
) -> None:
    result = chain[address]
    expected = [
        (ttl, router, "reached" if ttl == 3 else "ttl", ttl) for ttl, router in enumerate(way, start=1)
    ]
    assert [path_of(result, number) for number in range(3)] == [expected] * 3
    assert [(number, ttl) for number, ttl, _ in result["sent"]] == [
        (number, ttl) for number in range(3) for ttl in (1, 2, 3)
    ], "nothing is sent beyond the destination"
    assert all(0 < rtt_s < 60 for *_, rtt_s, _ in result["answers"])
    assert result["path_mtu_bytes"] == 1400, "the link in the middle takes less than the others"


def test_a_router_that_knows_no_way_is_named(chain: dict[str, dict[str, Any]]) -> None:
    result = chain["fd88::1"]
    assert path_of(result, 0) == [(1, "fd77:1::2", "net-unreachable", 1)]
    assert result["path_mtu_bytes"] is None


def test_no_further_than_asked(chain: dict[str, dict[str, Any]]) -> None:
    assert [hop[:3] for hop in path_of(chain["10.77.3.2 two hops"], 0)] == [
        (1, "10.77.1.2", "ttl"),
        (2, "10.77.2.2", "ttl"),
    ]


def test_after_five_silent_hops_the_way_has_ended(chain: dict[str, dict[str, Any]]) -> None:
    result = chain["10.77.3.9"]
    assert [hop[:3] for hop in path_of(result, 0)][:2] == [(1, "10.77.1.2", "ttl"), (2, "10.77.2.2", "ttl")]
    assert {ttl for _, ttl, _ in result["sent"]} == {1, 2, 3, 4, 5, 6, 7}
    assert result["path_mtu_bytes"] is None


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_this_machine_is_one_hop_away(address: str) -> None:
    need(sys.platform == "linux", "Linux")
    need(address != "::1" or has_ipv6(), "IPv6")
    result = traced(address, rounds=2)
    assert [hop[:3] for hop in path_of(result, 1)] == [(1, address, "reached")]
    assert result["local_address"] == address


def test_somebody_who_listens_there_is_reached_as_well() -> None:
    need(sys.platform == "linux", "Linux")
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        silent = traced("127.0.0.1", rounds=1, port=port, timeout_s=0.05, max_hops=2)
        assert path_of(silent, 0) == []
        assert silent["path_mtu_bytes"] is None
        packet, sender = listener.recvfrom(100)
        assert len(packet) == 8
        assert sender[0] == "127.0.0.1"


def test_it_finishes_early_with_what_it_has() -> None:
    need(sys.platform == "linux", "Linux")
    result = traced("127.0.0.1", rounds=1000, channel=Unhurried(stops_at=2))
    assert [number for number, *_ in result["sent"]] == [0, 1]
    assert result["path_mtu_bytes"] is None


def test_where_it_cannot_be_done_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(JobError, match="Linux only"):
        traced("127.0.0.1")


async def test_it_is_a_job_of_the_workers() -> None:
    need(sys.platform == "linux", "Linux")
    workers = Workers()
    async with await workers.start("ip.trace", {"address": "127.0.0.1", "rounds": 1}) as worker:
        result = await worker.result(30.0)
    assert result["answers"][0][2:4] == ["127.0.0.1", "reached"]
    async with await workers.start("ip.trace", {"address": "no address", "rounds": 1}) as worker:
        with pytest.raises(WorkerError, match="no address"):
            await worker.result(30.0)
    await workers.close()
