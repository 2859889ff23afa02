"""Round trips by STAMP while a link is loaded: one session, its phases told apart by when packets were due.

The session is opened before the load, of whose grant it would get nothing afterwards. A peer that will not be
pinged can still be loaded: then there are no round trips, and a note says why.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from qudag_node.errors import NodeError
from qudag_node.nettests.context import Context
from qudag_node.nettests.samples import TimeStatistics, time_statistics
from qudag_node.nettests.stampsession import StampMeasured, StampPlan, StampSession, open_stamp

__all__ = ["LoadedPings"]


class LoadedPings:
    """An async context manager round a STAMP session that lasts as long as the load.

    Args:
        context: Of the test.
        length_s: How long it may last.
        interval_s: From one packet to the next.
        timeout_s: A reply after this is late.
        is_wanted: Whether there is to be one at all.
        is_needed: Whether the test has failed without it.

    Attributes:
        notes: Why there are no round trips, and remarks about this host.
        errors: What went wrong at the other end.
        timestamps: Where the times come from.
        measured: The figures of the whole session, once finished.
    """

    def __init__(
        self,
        context: Context,
        *,
        length_s: float,
        interval_s: float,
        timeout_s: float = 2.0,
        is_wanted: bool = True,
        is_needed: bool = False,
    ) -> None:
        self._context = context
        self._plan = StampPlan(duration_s=length_s, interval_s=interval_s, timeout_s=timeout_s, keep=True)
        self._is_wanted, self._is_needed = is_wanted, is_needed
        self._session: StampSession | None = None
        self.notes: list[str] = []
        self.errors: list[str] = []
        self.timestamps = "none"
        self.measured: StampMeasured | None = None

    @property
    def is_running(self) -> bool:
        """Whether there will be round trips."""
        return self._session is not None

    async def __aenter__(self) -> Self:
        if self._is_wanted:
            try:
                self._session = await open_stamp(self._context, self._context.peer, self._plan)
            except NodeError as exc:
                self._failed(exc)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.__aexit__(kind, value, trace)

    async def finish(self) -> None:
        """Send no more, and take what was found."""
        session = self._session
        if session is None:
            return
        try:
            session.stop()
            await session.sent()
            self.measured = await session.result()
        except NodeError as exc:
            self._failed(exc)
            return
        self.timestamps = self.measured.timestamps
        self.notes += self.measured.notes
        self.errors += self.measured.errors

    def round_trips_ns(self, begin_mono_s: float, end_mono_s: float) -> list[int]:
        """Return those of the packets that were due in that time, by this host's monotonic clock.

        The queues of both hosts are included: a load fills those first.
        """
        if self.measured is None:
            return []
        begin_ns, end_ns = int(begin_mono_s * 1e9), int(end_mono_s * 1e9)
        return [
            round_trip
            for due, round_trip in zip(self.measured.due_mono_ns, self.measured.round_trip_ns, strict=True)
            if begin_ns <= due < end_ns
        ]

    def between(self, begin_mono_s: float, end_mono_s: float) -> TimeStatistics | None:
        """Return the statistics of those; None where nothing was answered."""
        found = self.round_trips_ns(begin_mono_s, end_mono_s)
        return time_statistics(found) if found else None

    def _failed(self, exc: NodeError) -> None:
        if self._is_needed:
            raise exc
        self.notes.append(f"no round trips were measured: {exc}")
