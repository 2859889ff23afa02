"""A client that stays: it connects, subscribes, and comes back by itself when the node does.

``AsyncClient.run`` is one task that ends only when it is cancelled. Each attempt holds one
``AsyncSession`` until the node hangs up, falls silent or breaks the protocol; between attempts it waits,
longer each time and with jitter, so that a hundred monitors do not knock at once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from qudag_node.wire import RemoteProtocolError, StatsGap, StatsMirror
from qudag_tui.client.aio import AsyncSession
from qudag_tui.client.endpoint import Endpoint
from qudag_tui.client.transport import not_a_node
from qudag_tui.client.updates import ConnectionStatus, EventsArrived, LinkState, Mailbox, Snapshot, Update
from qudag_tui.errors import NodeTimeoutError, QudagError, RefusedError, UnreachableError, UsageError

__all__ = ["AsyncClient", "backoff_s"]

# Three snapshots missing is more than jitter; after ten the connection is dead, even if nobody said so.
STALE_INTERVALS = 3
DEAD_INTERVALS = 10
DEAD_AT_LEAST_S = 10.0

FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 15.0
# A node that refused is asked seldom: it counts failures per address.
REFUSED_WAIT_S = 30.0


def backoff_s(attempt: int, chance: float) -> float:
    """Seconds to wait after ``attempt`` failures in a row: doubling, half of it jitter.

    Args:
        attempt: Failures in a row, 1 or more.
        chance: A random number from 0 to 1.
    """
    full_s: float = min(FIRST_WAIT_S * 2 ** min(attempt - 1, 16), LONGEST_WAIT_S)
    return full_s * (0.5 + chance / 2)


class AsyncClient:
    """A connection to one node that is kept alive.

    ::

        client = AsyncClient(locate(None), deliver=app.receive)
        tasks.create_task(client.run(), name="client")
        await client.call("peer.ban", {"peer": "peer2"})

    Attributes:
        status: How the connection stands.
        snapshot: The newest statistics, kept while the node is away.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        interval_s: float = 1.0,
        timeout_s: float = 5.0,
        deliver: Callable[[Update], None] | None = None,
        client_name: str = "qudag-top",
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Prepare; nothing is opened before ``run``.

        Args:
            endpoint: Which node, from ``locate``. Its token is read anew at each attempt.
            interval_s: Seconds between snapshots.
            timeout_s: For connecting, and for each call unless it says otherwise.
            deliver: Called on the event loop with every update; without it, iterate over ``updates``.
            client_name: What the node's log calls us.
            chance: The source of jitter, 0 to 1.
        """
        self.endpoint = endpoint
        self.interval_s = interval_s
        self.timeout_s = timeout_s
        self.status = ConnectionStatus(state=LinkState.CONNECTING, where=endpoint.where)
        self.snapshot: Snapshot | None = None
        self._mailbox = Mailbox()
        self._has_mail = asyncio.Event()
        self._deliver = self._post if deliver is None else deliver
        self._client_name = client_name
        self._chance = chance
        self._session: AsyncSession | None = None
        self._mirror = StatsMirror()
        self._stream: object = None
        self._heard_mono_s = 0.0
        self._process: object = None
        self._last_event = 0
        self._needs_full = asyncio.Event()

    @property
    def hello(self) -> Mapping[str, Any]:
        """What the node said of itself in this session; empty while there is none."""
        return {} if self._session is None else self._session.hello

    async def run(self) -> None:
        """Stay connected until cancelled. Failures become states, never exceptions."""
        attempt = 0
        while True:
            self._say(LinkState.CONNECTING, attempt=attempt)
            failure = await self._attend()
            if self.status.state in {LinkState.CONNECTED, LinkState.STALE}:
                attempt = 0
            attempt += 1
            is_refusal = isinstance(failure, RefusedError | UsageError)
            wait_s = REFUSED_WAIT_S if is_refusal else backoff_s(attempt, self._chance())
            self._say(
                LinkState.REFUSED if is_refusal else LinkState.WAITING,
                reason=str(failure),
                retry_in_s=wait_s,
                attempt=attempt,
            )
            await asyncio.sleep(wait_s)

    async def updates(self) -> AsyncIterator[Update]:
        """Yield updates as they come; of snapshots that piled up, only the newest."""
        while True:
            await self._has_mail.wait()
            self._has_mail.clear()
            for update in self._mailbox.take():
                yield update

    async def call(
        self, method: str, params: Mapping[str, Any] | None = None, *, timeout_s: float | None = None
    ) -> Mapping[str, Any]:
        """Call over the open connection.

        Raises:
            UnreachableError: There is no connection at present.
            QudagError: As the node's error code says.
        """
        if self._session is None:
            raise UnreachableError(f"not connected to {self.endpoint.where}", self.status.reason)
        return await self._session.call(
            method, params or {}, self.timeout_s if timeout_s is None else timeout_s
        )

    async def set_interval(self, interval_s: float) -> None:
        """Change the seconds between snapshots, now and after every reconnect."""
        self.interval_s = interval_s
        if self._session is not None and self._session.ready.is_set():
            await self._subscribe_stats(self._session)

    def _post(self, update: Update) -> None:
        self._mailbox.put(update)
        self._has_mail.set()

    def _say(
        self, state: LinkState, *, reason: str = "", retry_in_s: float | None = None, attempt: int = 0
    ) -> None:
        self.status = ConnectionStatus(
            state=state, where=self.endpoint.where, reason=reason, retry_in_s=retry_in_s, attempt=attempt
        )
        self._deliver(self.status)

    async def _attend(self) -> QudagError:
        """Hold one session from dialling to its end, and return why it ended."""
        try:
            session = await AsyncSession.open(
                self.endpoint.address,
                token=self.endpoint.read_token(),
                timeout_s=self.timeout_s,
                client_name=self._client_name,
                notified=self._receive,
            )
        except QudagError as exc:
            return exc
        self._session, self._stream = session, None
        self._heard_mono_s = asyncio.get_running_loop().time()
        failures: list[QudagError] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(session.read(), name="client.read")
                tasks.create_task(self._follow(session), name="client.follow")
        except* QudagError as group:
            failures += [exc for exc in group.exceptions if isinstance(exc, QudagError)]
        finally:
            self._session = None
            session.close()
        # A call that was cut off fails beside the reader: what the reader says is the cause.
        return failures[0]

    async def _follow(self, session: AsyncSession) -> None:
        """Subscribe, then watch that snapshots come, and ask for a whole one after a gap."""
        await self._catch_up_on_events(session)
        await self._subscribe_stats(session)
        loop = asyncio.get_running_loop()
        while True:
            if self._needs_full.is_set():
                await self._subscribe_stats(session)
            silence_s = loop.time() - self._heard_mono_s
            dead_s = max(DEAD_INTERVALS * self.interval_s, DEAD_AT_LEAST_S)
            if silence_s > dead_s:
                raise NodeTimeoutError(f"the node has said nothing for {silence_s:.0f} s")
            stale_s = STALE_INTERVALS * self.interval_s
            if silence_s > stale_s and self.status.state is LinkState.CONNECTED:
                self._say(LinkState.STALE, reason=f"no figures for {silence_s:.0f} s")
            try:
                async with asyncio.timeout(
                    max((stale_s if silence_s <= stale_s else dead_s) - silence_s, 0.01)
                ):
                    await self._needs_full.wait()
            except TimeoutError:
                continue

    async def _catch_up_on_events(self, session: AsyncSession) -> None:
        status = await session.call("status", {}, self.timeout_s)
        process = (session.hello.get("node", {}).get("id"), status.get("pid"))
        if process != self._process:  # another process counts its events from one again
            self._process, self._last_event = process, 0
        await session.call("subscribe", {"topic": "events"}, self.timeout_s)
        missed = await session.call("events", {"since": self._last_event}, self.timeout_s)
        try:
            self._take_events(missed.get("events"))
        except RemoteProtocolError as exc:
            raise not_a_node(self.endpoint.where, exc) from exc

    async def _subscribe_stats(self, session: AsyncSession) -> None:
        """Begin a stream anew; the node opens it with a whole document."""
        self._needs_full.clear()
        former, self._stream = self._stream, None
        if former is not None:
            await session.call("unsubscribe", {"stream": former}, self.timeout_s)
        self._mirror = StatsMirror()
        await session.call("subscribe", {"topic": "stats", "interval_s": self.interval_s}, self.timeout_s)

    def _receive(self, method: str, params: Mapping[str, Any]) -> None:
        if method == "events":
            self._take_events(params.get("events"))
        elif method == "stats.full":
            self._stream = params.get("stream")
            self._mirror.full(params)
            self._take_snapshot()
        elif method == "stats.delta" and params.get("stream") == self._stream:
            try:
                self._mirror.delta(params)
            except StatsGap:
                self._needs_full.set()
            else:
                self._take_snapshot()

    def _take_snapshot(self) -> None:
        self._heard_mono_s = asyncio.get_running_loop().time()
        if self.status.state is not LinkState.CONNECTED:
            self._say(LinkState.CONNECTED)
        self.snapshot = Snapshot(
            document=self._mirror.document, peers=self._mirror.peers, received_mono_s=self._heard_mono_s
        )
        self._deliver(self.snapshot)

    def _take_events(self, events: object) -> None:
        if not isinstance(events, list) or not all(_is_event(event) for event in events):
            raise RemoteProtocolError("events are not a list of maps with a number each")
        fresh = tuple(event for event in events if event["seq"] > self._last_event)
        if fresh:
            self._last_event = max(event["seq"] for event in fresh)
            self._deliver(EventsArrived(events=fresh))


def _is_event(event: object) -> bool:
    return isinstance(event, dict) and isinstance(event.get("seq"), int)
