from __future__ import annotations

import select
import socket
import sys

import pytest

from qudag_node.nettests.bulk.proofs import answer, hello
from qudag_node.nettests.bulk.samples import Samples
from qudag_node.nettests.worker.jobs import JobError
from tests.qudag_node.nettests.bulk.channels import KEY, Running, pair, params

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="TCP_INFO is Linux's")


@pytest.mark.parametrize("listens", ["receive", "send"])
@pytest.mark.parametrize("streams", [1, 3])
def test_either_end_may_listen_and_what_arrives_was_sent(listens: str, streams: int) -> None:
    sender, receiver = pair("tcp", listens=listens, streams=streams)
    sent, received = sender.result(), receiver.result()
    assert sent["why_early"] == received["why_early"] == ""
    assert len(sent["stream_bytes"]) == len(received["stream_bytes"]) == streams
    for out, into in zip(sent["stream_bytes"], received["stream_bytes"], strict=True):
        assert 0 < into <= out
    samples = Samples.unpack(received["samples"])
    assert samples.last("bytes") > 0
    assert samples.last("t_us") >= 400_000
    assert samples.column("bytes") == sorted(samples.column("bytes"))
    assert sender.told("begun")["congestion_control"] is not None or sys.platform != "linux"


@linux_only
def test_the_sender_s_kernel_says_what_it_waited_for() -> None:
    sender, receiver = pair("tcp")
    samples = Samples.unpack(sender.result()["samples"])
    receiver.result()
    assert samples.last("busy_us") > 0
    # The kernel counts what it sent, and of what is acknowledged the end of the stream, too, as one byte.
    assert samples.last("sent_bytes") + 1 >= samples.last("bytes") > 0
    assert samples.last("cwnd_bytes") > 0
    assert samples.last("window_bytes") > 0
    assert samples.last("cpu_us") > 0
    assert samples.last("pressed_us") > 0


@pytest.mark.parametrize("streams", [1, 2])
def test_a_rate_is_kept(streams: int) -> None:
    sender, receiver = pair("tcp", rate_bits_per_s=8e6, streams=streams, duration_s=1.0)
    out = Samples.unpack(sender.result()["samples"])
    receiver.result()
    # However slow the machine: never faster than agreed, but for the first write of each stream.
    assert 0 < out.last("bytes") <= out.last("t_us") + streams * 20_000
    assert out.last("held_us") > 0


def test_the_receiver_does_not_take_more_than_was_agreed() -> None:
    receiver = Running("tcp.receive", params(listen="127.0.0.1", rate_bits_per_s=80e6, duration_s=1.0))
    port = receiver.told("ready")["port"]
    greedy = Running("tcp.send", params(connect=["127.0.0.1", port], duration_s=1.0))
    samples = Samples.unpack(receiver.result()["samples"])
    greedy.result()
    assert 0 < samples.last("bytes") <= 10e6 * 1.05 * (samples.last("t_us") / 1e6 + 0.25) + (1 << 20)
    assert samples.last("held_us") > 0


def test_strangers_are_hung_up_on_and_the_test_goes_on() -> None:
    receiver = Running("tcp.receive", params(listen="127.0.0.1"))
    address = ("127.0.0.1", receiver.told("ready")["port"])
    silent = socket.create_connection(address)
    with socket.create_connection(address) as stranger:
        stranger.settimeout(30)
        stranger.sendall(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")
        assert not _read(stranger)
    with socket.create_connection(address) as wrong_key:
        wrong_key.settimeout(30)
        wrong_key.sendall(hello(bytes(32), 0, 0))
        assert not _read(wrong_key)
    sender = Running("tcp.send", params(connect=list(address)))
    sent = sender.result()
    with silent:
        assert receiver.result()["strangers"] == 3
    assert sent["why_early"] == ""


def test_a_stream_is_opened_once() -> None:
    receiver = Running("tcp.receive", params(listen="127.0.0.1", streams=2))
    address = ("127.0.0.1", receiver.told("ready")["port"])
    with socket.create_connection(address) as first, socket.create_connection(address) as again:
        for each in (first, again):
            each.sendall(hello(KEY, 0, 0))
        # Whichever is read first, the other is hung up on.
        refused, _, _ = select.select([first, again], [], [], 30)
        assert len(refused) == 1
        assert not _read(refused[0])
        receiver.stop()
        with pytest.raises(JobError, match="stopped"):
            receiver.result()


def test_another_program_at_the_port_is_not_the_peer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = Running("tcp.send", params(connect=list(server.getsockname())))
        guest, _ = server.accept()
        with guest:
            guest.sendall(answer(bytes(32), 0, 0))
            with pytest.raises(JobError, match="another program"):
                sender.result()


def test_a_port_where_nobody_listens_is_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    with pytest.raises(JobError, match=r"127\.0\.0\.1:\d+: Connection refused"):
        Running("tcp.send", params(connect=list(address))).result()


def test_a_firewall_that_drops_is_a_line() -> None:
    with socket.socket() as full:  # a backlog that is full answers no more than a firewall does
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        with pytest.raises(JobError, match=r"no answer within 1 s; a firewall|does not answer"):
            Running("tcp.send", params(connect=list(address), meet_timeout_s=1)).result()
        for filler in fillers:
            filler.close()


def test_nobody_comes() -> None:
    with pytest.raises(JobError, match=r"did not connect within 0\.3 s: 0 of 2 streams"):
        Running("tcp.receive", params(listen="127.0.0.1", streams=2, meet_timeout_s=0.3)).result()


def test_no_port_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(JobError, match="no port is free"):
            Running("tcp.receive", params(listen="127.0.0.1", ports=[port, port])).result()


@linux_only
def test_a_congestion_control_is_chosen_and_an_unknown_one_is_named() -> None:
    sender, receiver = pair("tcp", congestion_control="reno")
    assert (sender.result()["congestion_control"], receiver.result()["congestion_control"]) == (
        "reno",
        "reno",
    )
    with pytest.raises(JobError, match=r"no congestion control 'nonsense' here; there are: .*reno"):
        Running("tcp.receive", params(listen="127.0.0.1", congestion_control="nonsense")).result()


@pytest.mark.parametrize("stopped", [0, 1])
def test_a_test_that_is_stopped_in_the_middle_reports_what_it_has(stopped: int) -> None:
    ends = pair("tcp", duration_s=60.0)
    ends[stopped].told("sample", 2)
    ends[stopped].stop()
    assert ends[stopped].result()["why_early"] == ""
    other = ends[1 - stopped].result()
    assert "ended after" in other["why_early"]
    for end in ends:
        assert 0 < Samples.unpack(end.outcome["samples"]).last("t_us") < 60e6
        assert Samples.unpack(end.outcome["samples"]).last("bytes") > 0


def _read(sock: socket.socket) -> bytes:
    try:
        return sock.recv(100)
    except ConnectionResetError:
        return b""
