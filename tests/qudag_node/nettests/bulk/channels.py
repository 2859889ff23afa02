"""Two jobs of a bandwidth test in two threads of this process: what each tells, and when it is to stop."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

from qudag_node.nettests.worker.channel import Channel
from qudag_node.nettests.worker.jobs import JOBS, load_job

__all__ = ["KEY", "Running", "pair", "params"]

KEY = bytes(range(32))
PATIENCE_S = 30.0


class _Told(Channel):
    """A channel whose node is a test."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.news = threading.Condition()
        self.stop = threading.Event()
        self.given: deque[dict[str, Any]] = deque()

    def emit(self, event: str, **fields: object) -> None:
        with self.news:
            self.events.append({**fields, "event": event})
            self.news.notify_all()

    def is_stopping(self) -> bool:
        return self.stop.is_set()

    def wait_stop(self, timeout_s: float | None) -> bool:
        return self.stop.wait(timeout_s)

    def orders(self) -> list[dict[str, Any]]:
        taken: list[dict[str, Any]] = []
        while self.given:
            taken.append(self.given.popleft())
        return taken


class Running:
    """One job, begun."""

    def __init__(self, job: str, params: dict[str, Any]) -> None:
        self.channel = _Told()
        self.outcome: dict[str, Any] = {}
        self.error: BaseException | None = None
        self._run = load_job(JOBS[job])
        self._params = params
        self._thread = threading.Thread(target=self._do, daemon=True)
        self._thread.start()

    def _do(self) -> None:
        try:
            self.outcome = self._run(self._params, self.channel)
        except Exception as exc:  # noqa: BLE001  # the test looks at it
            self.error = exc
        with self.channel.news:
            self.channel.news.notify_all()

    def told(self, event: str, count: int = 1) -> dict[str, Any]:
        """Wait until the job has told something so often; return the newest."""
        deadline_mono_s = time.monotonic() + PATIENCE_S
        with self.channel.news:
            while True:
                found = [each for each in self.channel.events if each["event"] == event]
                if len(found) >= count:
                    return found[-1]
                if self.error is not None:
                    raise self.error
                assert time.monotonic() < deadline_mono_s, f"never {event}"
                self.channel.news.wait(0.1)

    def result(self) -> dict[str, Any]:
        """Wait for the end."""
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error
        return self.outcome

    def order(self, **fields: Any) -> None:
        self.channel.given.append(fields)

    def stop(self) -> None:
        self.channel.stop.set()


def params(**changed: Any) -> dict[str, Any]:
    return {
        "key": KEY,
        "purpose": 0,
        "streams": 1,
        "duration_s": 0.4,
        "meet_timeout_s": PATIENCE_S,
        "dscp": 8,
        "rate_bits_per_s": None,
        **changed,
    }


def pair(protocol: str, *, listens: str = "receive", **changed: Any) -> tuple[Running, Running]:
    """Begin both ends on the loopback interface; return the sender and the receiver."""
    connects = "send" if listens == "receive" else "receive"
    listening = Running(f"{protocol}.{listens}", params(listen="127.0.0.1", **changed))
    told = listening.told("ready")
    connecting = Running(
        f"{protocol}.{connects}",
        params(connect=["127.0.0.1", told["port"]], connect_ports=told.get("ports"), **changed),
    )
    return (connecting, listening) if listens == "receive" else (listening, connecting)
