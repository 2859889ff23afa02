from __future__ import annotations

import socket
import sys

import pytest

from qudag_node.nettests.bulk.datagrams import pack_burst
from qudag_node.nettests.bulk.proofs import hello, packet_tag
from qudag_node.nettests.bulk.samples import Samples
from qudag_node.nettests.worker.jobs import JobError
from tests.qudag_node.nettests.bulk.channels import Running, pair, params

RATE = 20e6


def stopped(receiver: Running, sender: Running) -> tuple[dict[str, int], dict[str, int]]:
    """The counts of both once the sender is done."""
    out = sender.result()
    into = receiver.result()
    return out, into["steps"].get("0", {})


@pytest.mark.parametrize("listens", ["receive", "send"])
@pytest.mark.parametrize("streams", [1, 3])
def test_either_end_may_listen_and_every_packet_is_counted(listens: str, streams: int) -> None:
    sender, receiver = pair("udp", listens=listens, streams=streams, rate_bits_per_s=RATE, tail_s=0.5)
    out, counts = stopped(receiver, sender)
    assert counts["received"] + counts["receiver_dropped"] == out["packets"] > 0
    assert (counts["duplicates"], counts["reordered"]) == (0, 0)
    assert out["moved_bytes"] == out["packets"] * 1400
    assert Samples.unpack(receiver.outcome["samples"]).last("packets") == counts["received"]


@pytest.mark.parametrize("rate", [2e6, 400e6])
def test_a_rate_is_kept_by_single_packets_and_by_bursts(rate: float) -> None:
    sender, receiver = pair("udp", rate_bits_per_s=rate, tail_s=0.5)
    out, counts = stopped(receiver, sender)
    # However slow the machine: never more than agreed.
    assert 0 < out["moved_bytes"] * 8 <= rate * 0.4 + 60 * 1400 * 8
    assert counts["received"] + counts["receiver_dropped"] == out["packets"]


def test_steps_are_ordered_one_after_the_other_and_counted_apart() -> None:
    sender, receiver = pair("udp", rate_bits_per_s=RATE, duration_s=60.0, is_single=False)
    for step, rate in enumerate((1e6, RATE * 100)):
        sender.order(op="step", step=step, rate_bits_per_s=rate, duration_s=0.2)
        told = sender.told("step", step + 1)
        assert told["step"] == step
        # No faster than what was agreed, whatever the order says.
        assert 0 < told["sent"] * 1400 * 8 <= min(rate, RATE) * 0.2 + 60 * 1400 * 8
        count = 0
        counts: dict[str, int] = {}
        while counts.get("received", 0) + counts.get("receiver_dropped", 0) < told["sent"]:
            count += 1
            receiver.order(op="step", step=step)
            counts = receiver.told(
                "step", len([e for e in receiver.channel.events if e["event"] == "step"]) + 1
            )
            assert count < 1000
        assert counts["step"] == step
    sender.stop()
    receiver.stop()
    assert len(sender.result()["steps"]) == len(receiver.result()["steps"]) == 2


def test_what_a_stranger_sends_is_not_counted() -> None:
    receiver = Running("udp.receive", params(listen="127.0.0.1", rate_bits_per_s=RATE, tail_s=0.5))
    told = receiver.told("ready")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for data in (b"", b"hello", bytes(1400), hello(bytes(32), 0, 0)):
            stranger.sendto(data, ("127.0.0.1", told["port"]))
        sender = Running(
            "udp.send",
            params(connect=["127.0.0.1", told["port"]], connect_ports=told["ports"], rate_bits_per_s=RATE),
        )
        out, counts = stopped(receiver, sender)
    assert counts["received"] + counts["receiver_dropped"] == out["packets"]
    assert receiver.outcome["strangers"] >= 1


@pytest.mark.parametrize(
    ("is_single", "steps"), [(True, ["0"]), (False, [str(step) for step in range(8, 40)])]
)
def test_of_a_sender_that_invents_steps_few_are_kept(is_single: bool, steps: list[str]) -> None:
    given = params(listen="127.0.0.1", rate_bits_per_s=RATE, duration_s=30.0, is_single=is_single)
    receiver = Running("udp.receive", given)
    told = receiver.told("ready")
    tag = packet_tag(given["key"], 0, given["purpose"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as liar:
        liar.settimeout(30.0)
        liar.connect(("127.0.0.1", told["port"]))
        liar.send(hello(given["key"], 0, given["purpose"]))
        assert len(liar.recv(2048)) == 32
        for step in range(40):
            data = bytearray(100)
            pack_burst(data, tag, step, 0, 1, 100, 0)
            liar.send(data)
        # An answer says that all that came before it has been taken.
        liar.send(hello(given["key"], 0, given["purpose"]))
        assert len(liar.recv(2048)) == 32
    receiver.stop()
    result = receiver.result()
    assert list(result["steps"]) == steps
    assert result["packets"] == (1 if is_single else 40)


@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is an address of this host on Linux only")
def test_nobody_is_sent_a_stream_by_one_packet_in_his_name() -> None:
    given = params(listen="127.0.0.1", peer="127.0.0.1", rate_bits_per_s=RATE, duration_s=30.0)
    sender = Running("udp.send", given)
    told = sender.told("ready")
    # The peer has the key, and writes another's address into its packet.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as victim:
        victim.bind(("127.0.0.2", 0))
        victim.settimeout(0.5)
        proof = hello(given["key"], 0, given["purpose"])
        victim.sendto(proof, ("127.0.0.1", told["port"]))
        with pytest.raises(TimeoutError):
            victim.recv(2048)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            peer.settimeout(30.0)
            peer.sendto(proof, ("127.0.0.1", told["port"]))
            # The answer, and the stream.
            assert [len(peer.recv(2048)) for _ in range(3)] == [32, 1400, 1400]
    sender.stop()
    sender.result()


def test_a_sender_that_is_too_fast_is_not_listened_to() -> None:
    receiver = Running("udp.receive", params(listen="127.0.0.1", rate_bits_per_s=1e5, duration_s=30.0))
    told = receiver.told("ready")
    greedy = Running(
        "udp.send",
        params(
            connect=["127.0.0.1", told["port"]],
            connect_ports=told["ports"],
            rate_bits_per_s=RATE,
            duration_s=30.0,
        ),
    )
    assert receiver.result()["why_early"] == "the sender exceeds the rate that was agreed"
    assert greedy.result()["why_early"] == "the other end has closed its port"


@pytest.mark.parametrize(("rate", "most_per_s"), [(4e6, None), (RATE, 5000.0)])
def test_a_sender_counts_whole_packets(rate: float, most_per_s: float | None) -> None:
    sender, receiver = pair("udp", packet_bytes=72, rate_bits_per_s=rate, packets_per_s=most_per_s)
    out, _ = stopped(receiver, sender)
    # 4 Mbit/s of 100 bytes each are 5000 packets/s; 72 bytes of payload alone would be 6944.
    assert 0 < out["packets"] <= 5000 * 0.4 + 60


@pytest.mark.parametrize(
    ("size", "changed"),
    [
        # Nothing but headers; and what is no packet of the test's.
        (0, {"rate_bits_per_s": 1e4}),
        (1400, {"rate_bits_per_s": 1e4}),
        (64, {"rate_bits_per_s": 1e9, "packets_per_s": 2.0}),
    ],
)
def test_a_receiver_counts_whatever_comes(size: int, changed: dict[str, float]) -> None:
    given = params(listen="127.0.0.1", duration_s=30.0, **changed)
    receiver = Running("udp.receive", given)
    told = receiver.told("ready")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as liar:
        liar.connect(("127.0.0.1", told["port"]))
        liar.send(hello(given["key"], 0, given["purpose"]))
        receiver.told("begun")
        for _ in range(200):
            liar.send(bytes(size))
        assert receiver.result()["why_early"] == "the sender exceeds the rate that was agreed"


def test_a_port_where_nobody_answers_is_a_line() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        with pytest.raises(JobError, match=r"no answer over UDP within 0\.5 s; a firewall"):
            Running(
                "udp.send",
                params(
                    connect=["127.0.0.1", port],
                    connect_ports=[port],
                    rate_bits_per_s=RATE,
                    meet_timeout_s=0.5,
                ),
            ).result()
    with pytest.raises(JobError, match=r"no packet of the other end's came within 0\.3 s"):
        Running("udp.receive", params(listen="127.0.0.1", rate_bits_per_s=RATE, meet_timeout_s=0.3)).result()


def test_a_test_that_is_stopped_in_the_middle_reports_what_it_has() -> None:
    sender, receiver = pair("udp", rate_bits_per_s=RATE, duration_s=60.0)
    receiver.told("sample", 2)
    sender.stop()
    out = sender.result()
    receiver.stop()
    counts = receiver.result()["steps"]["0"]
    assert 0 < counts["received"] <= out["packets"]
    assert Samples.unpack(out["samples"]).last("t_us") < 60e6
