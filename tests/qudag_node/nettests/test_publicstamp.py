from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncIterator

import pytest

from qudag_node.errors import PortInUseError
from qudag_node.metrics import MetricsCollector
from qudag_node.nettests import publicstamp
from qudag_node.nettests.publicstamp import PublicReflector
from qudag_node.nettests.stamp.packets import Request, pack_request, parse_reply
from qudag_node.nettests.workers import Workers
from tests.qudag_node.overlay.links import until


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    workers = Workers()
    yield workers
    await workers.close()


def reflector_at(port: int, workers: Workers, collector: MetricsCollector) -> PublicReflector:
    return PublicReflector("127.0.0.1", port, dscp=0, workers=workers, collector=collector)


def ask(port: int, sequence: int, patience_s: float = 2.0) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.settimeout(patience_s)
        sock.send(pack_request(Request(sequence, 0, 1), authenticated=False))
        try:
            reply = parse_reply(sock.recv(1000), authenticated=False)
        except OSError:
            return False
    return reply is not None and reply.sender_sequence == sequence


async def test_it_answers_is_counted_and_comes_back_when_it_dies(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publicstamp, "_RESTART_S", 0.05)
    collector = MetricsCollector(message_types=["test"])
    reflector = reflector_at(0, workers, collector)
    await reflector.start()
    port = reflector.port
    assert ask(port, 7, patience_s=60.0)
    await until(lambda: collector.test_traffic().received == 1, 30)
    (worker,) = list(vars(workers)["_running"])
    os.kill(worker.pid, signal.SIGKILL)
    await until(lambda: ask(port, 8), 60)
    assert reflector.port == port
    await reflector.close()
    assert workers.running == 0
    assert not ask(port, 9)


async def test_a_port_that_is_taken_is_one_line(workers: Workers) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        reflector = reflector_at(port, workers, MetricsCollector(message_types=["test"]))
        with pytest.raises(PortInUseError, match=f"--stamp 127.0.0.1:{port}: .*taken"):
            await reflector.start()
    await reflector.close()
