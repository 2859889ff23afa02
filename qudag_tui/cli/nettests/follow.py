"""Starting tests on a node and following them to their results, over one connection.

No wait is without an end: a node that is silent is asked whether it is there. An interrupt cancels what
runs and waits a little for the results, which then hold what was measured so far.
"""

from __future__ import annotations

import time

from qudag_tui.client.transport import Deadline
from qudag_tui.errors import NodeTimeoutError, ProtocolError, QudagError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from qudag_tui.cli.nettests.interrupts import Interrupts
    from qudag_tui.cli.nettests.live import Live
    from qudag_tui.client.connection import Connection

__all__ = ["Follower", "Outcome", "Target"]

# How soon a signal is noticed.
SLICE_S = 0.2

#: How long a cancelled test may take to say what it has.
AFTER_CANCEL_S = 10.0

#: Tests that are started at once; the node runs as many as it sees fit.
AT_ONCE = 8

_ENDED = frozenset({"done", "failed", "cancelled"})


class Target:
    """Whom a test is of.

    Attributes:
        word: What the node is told; None for the network as a whole.
        name: What people call it.
    """

    __slots__ = ("name", "word")

    def __init__(self, word: str | None, name: str = "") -> None:
        self.word = word
        self.name = name or word or ""


class Outcome:
    """What became of one test.

    Attributes:
        target: Whom it was of.
        test_id: Empty when it did not start.
        result: The document; None when there is none.
        error: Why there is none.
    """

    __slots__ = (
        "error",
        "last",
        "progress",
        "result",
        "started_mono_s",
        "state",
        "stream",
        "target",
        "test_id",
    )

    def __init__(self, target: Target) -> None:
        self.target = target
        self.test_id = ""
        self.stream: object = None
        self.state = "queued"
        self.progress: dict[str, Any] = {}
        self.result: Mapping[str, Any] | None = None
        self.error: QudagError | None = None
        self.started_mono_s = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to come of it."""
        return self.result is not None or self.error is not None


class Follower:
    """Runs tests of one type.

    Args:
        connection: To the node; a test that runs when it closes is cancelled by the node.
        test_type: What is tested.
        interrupts: Notes Ctrl-C and SIGTERM.
        live: Shows progress.
        on_event: Gets each event of each test as it comes, for formats that stream.
        silence_s: After so much of it the node is asked whether it is there.
    """

    def __init__(
        self,
        connection: Connection,
        test_type: str,
        *,
        interrupts: Interrupts,
        live: Live,
        on_event: Callable[[str, Mapping[str, Any]], None],
        silence_s: float = 5.0,
    ) -> None:
        self._connection = connection
        self._type = test_type
        self._interrupts = interrupts
        self._live = live
        self._on_event = on_event
        self._silence_s = silence_s
        self._outcomes: list[Outcome] = []
        self._total = 0
        self._cancelled_mono_s: float | None = None

    def run(self, targets: Sequence[Target], options: Mapping[str, object]) -> list[Outcome]:
        """Test each target and return the outcomes in their order, also when interrupted."""
        waiting = list(targets)
        self._total = len(waiting)
        while True:
            running = sum(not outcome.is_over for outcome in self._outcomes)
            while waiting and running < AT_ONCE and self._interrupts.code is None:
                running += self._start(waiting.pop(0), options)
            if not running:
                return self._outcomes
            self._step()

    def watch(self, test_id: str, target: Target) -> Outcome:
        """Follow a test that somebody started."""
        outcome = Outcome(target)
        outcome.test_id = test_id
        self._outcomes.append(outcome)
        self._total = 1
        self._subscribe(outcome)
        while not outcome.is_over and self._interrupts.code is None:
            self._step()
        return outcome

    def _start(self, target: Target, options: Mapping[str, object]) -> bool:
        """Start one; False when the node would not. Of a single test that is the command's own failure."""
        outcome = Outcome(target)
        params: dict[str, object] = {
            "type": self._type,
            "options": dict(options),
            "cancel_on_disconnect": True,
        }
        if target.word is not None:
            params["target"] = target.word
        try:
            outcome.test_id = str(self._connection.call("test.start", params).get("test_id", ""))
        except NodeTimeoutError:
            raise
        except QudagError as exc:
            if self._total == 1:
                raise
            outcome.error = exc
            self._outcomes.append(outcome)
            return False
        self._outcomes.append(outcome)
        self._subscribe(outcome)
        return True

    def _subscribe(self, outcome: Outcome) -> None:
        outcome.stream = self._connection.call("test.subscribe", {"test_id": outcome.test_id}).get("stream")

    def _step(self) -> None:
        """Wait a little for events, and look after signals and silence."""
        try:
            notifications = self._connection.take_notifications(Deadline(SLICE_S))
        except (TimeoutError, NodeTimeoutError):
            notifications = []
        for method, params in notifications:
            if method == "test":
                self._take(params)
        if notifications:
            self._heard_mono_s = time.monotonic()
        elif time.monotonic() - self._heard_mono_s > self._silence_s:
            self._look_after_the_silent()
        if self._interrupts.code is not None:
            self._cancel()

    _heard_mono_s = 0.0

    def _take(self, params: Mapping[str, Any]) -> None:
        outcome = next((o for o in self._outcomes if o.test_id == params.get("test_id")), None)
        if outcome is None or outcome.is_over:
            return
        events = params.get("events", ())
        for event in events if isinstance(events, list) else ():
            if isinstance(event, dict):
                self._event(outcome, event)

    def _event(self, outcome: Outcome, event: dict[str, Any]) -> None:
        self._on_event(outcome.test_id, event)
        match event.get("event"):
            case "progress":
                outcome.progress = event
                self._show(outcome)
            case "state":
                state = str(event.get("state", ""))
                if state == "running" and outcome.state != "running":
                    outcome.started_mono_s = time.monotonic()
                outcome.state = state
                if state == "queued" and self._total == 1:
                    outcome.progress = {"done": None, "line": "waits for another test to end"}
                    self._show(outcome)
            case "result":
                result = event.get("result")
                if not isinstance(result, dict):
                    raise ProtocolError("the node's result is no map", "is it much newer or older than this?")
                outcome.result = result
            case _:
                pass  # an event of a newer node

    def _show(self, outcome: Outcome) -> None:
        elapsed_s = time.monotonic() - outcome.started_mono_s
        if self._total == 1:
            title = " ".join(part for part in (self._type, outcome.target.name) if part)
            self._live.show(title, outcome.progress, elapsed_s)
            return
        ended = sum(o.is_over for o in self._outcomes)
        parts = sum(1.0 if o.is_over else float(o.progress.get("done") or 0.0) for o in self._outcomes)
        line = f"{outcome.target.name}: {outcome.progress.get('line', '')}"
        progress = {"done": parts / self._total, "line": line}
        self._live.show(f"{self._type} {ended} of {self._total} peers", progress, elapsed_s)

    def _look_after_the_silent(self) -> None:
        """Ask for each running test's result: it may have ended unheard, and a dead node does not answer."""
        self._heard_mono_s = time.monotonic()
        for outcome in self._outcomes:
            if not outcome.is_over:
                result = self._kept(outcome.test_id)
                if result is not None:
                    outcome.result = result

    def _kept(self, test_id: str) -> Mapping[str, Any] | None:
        try:
            result = self._connection.call("test.show", {"test_id": test_id}).get("result")
        except NodeTimeoutError:
            raise
        except QudagError:
            return None  # it runs: there is nothing to show
        is_result = (
            isinstance(result, dict) and result.get("schema") and result.get("state", "done") in _ENDED
        )
        return result if is_result else None

    def _cancel(self) -> None:
        """Ask once for the end of all that runs, and give it a little time."""
        now = time.monotonic()
        if self._cancelled_mono_s is None:
            self._cancelled_mono_s = now
            self._live.end()
            for outcome in self._outcomes:
                if not outcome.is_over:
                    self._cancel_one(outcome)
        elif now - self._cancelled_mono_s > AFTER_CANCEL_S:
            for outcome in self._outcomes:
                if not outcome.is_over:
                    outcome.error = QudagError("cancelled; it did not say in time what it had measured")

    def _cancel_one(self, outcome: Outcome) -> None:
        try:
            self._connection.call("test.cancel", {"test_id": outcome.test_id})
        except NodeTimeoutError:
            raise
        except QudagError:
            pass  # it ended meanwhile, and its result is on its way
