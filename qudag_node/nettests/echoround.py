"""A round of echoes to one peer: the ping over a link, or through relays."""

from __future__ import annotations

import asyncio
import os
import time

from qudag_node.errors import PeerError, PeerUnreachableError
from qudag_node.nettests.context import Context
from qudag_node.nettests.echo import SMALLEST_ECHO_BYTES, Echo, EchoService, encode_echo
from qudag_node.nettests.messages import Opcode
from qudag_node.nettests.params import Params
from qudag_node.nettests.ping_statistics import Probes, ReflectorCounts
from qudag_node.nettests.responder import SESSION_BYTES
from qudag_node.nettests.stampsession import why_no_counts
from qudag_node.nettests.ticker import Ticker
from qudag_node.overlay.testport import TestMessage, Way
from qudag_node.peerid import PeerId

__all__ = ["EchoRound"]

_END_TIMEOUT_S = 10.0
_OPEN_TIMEOUT_S = 10.0
#: A session that is stopped early does not wait longer for its last replies.
_STOPPED_WAIT_S = 1.5
_POLL_S = 0.01
_PROGRESS_EVERY_S = 0.25
_TIME_MASK = (1 << 63) - 1


class EchoRound:
    """Echoes to one peer, sent at equal distances whatever comes back; used once.

    A packet's time of departure is the moment at which it was due: if this node's loop was late, the delay
    says so, as any message of the node would have had it.

    Args:
        context: Of the test.
        service: This node's.
        peer: Whom to.
        way: On which way; it is kept to.
        count: Echoes to send.
        interval_s: From one to the next.
        size: Bytes of an echo.
        timeout_s: Of the last reply.

    Attributes:
        probes: What was sent and came back.
        errors: What went wrong, in lines.
    """

    def __init__(
        self,
        context: Context,
        service: EchoService,
        peer: PeerId,
        *,
        way: Way,
        count: int,
        interval_s: float,
        size: int,
        timeout_s: float,
    ) -> None:
        self._context = context
        self._service = service
        self._peer = peer
        self._way = way
        self._count = count
        self._interval_s = interval_s
        self._size = max(size, SMALLEST_ECHO_BYTES)
        self._timeout_s = timeout_s
        self._session = os.urandom(SESSION_BYTES)
        self._unsent = 0
        self._told_mono_s = 0.0
        self.probes = Probes()
        self.errors: list[str] = []
        self.hops = 0

    async def run(self) -> ReflectorCounts | None:
        """Open a session, send, wait for what is under way; return what the peer counted, if it says.

        Raises:
            DeclinedError: The peer will not.
            PeerUnreachableError: There is no such way to it, or it does not answer.
        """
        context, rate_per_s = self._context, 1 / self._interval_s
        asked: dict[str, object] = {
            "kind": "echo",
            "session": self._session,
            "duration_s": self._count * self._interval_s + self._timeout_s,
            "packets_per_s": rate_per_s,
            "rate_bits_per_s": rate_per_s * self._size * 8,
            "count": self._count,
        }
        await context.control.ask(self._peer, "session.open", asked, timeout_s=_OPEN_TIMEOUT_S)
        self._service.begin(self._peer, self._session, self.take)
        try:
            with context.port.expecting(self._peer, rate_per_s):
                await self._send_all()
                await self._wait_for_replies()
                return await self._end()
        finally:
            self._service.end(self._peer, self._session)

    def take(self, echo: Echo, message: TestMessage) -> bool:
        """Note a reply; False when it answers nothing."""
        if echo.sequence >= len(self.probes):
            return False
        self.hops = message.hops
        times = (
            echo.received_unix_ns & _TIME_MASK,
            echo.replied_unix_ns & _TIME_MASK,
            message.received_unix_ns,
        )
        self.probes.reply(echo.sequence, None, times, is_kernels=False)
        return True

    async def _send_all(self) -> None:
        ticker = Ticker(interval_s=self._interval_s, count=self._count, stopping=self._context.stopping)
        async with ticker:
            async for due_mono_s in ticker:
                self._send_one(round(due_mono_s * 1e9))

    def _send_one(self, due_mono_ns: int) -> None:
        now_mono_ns, now_unix_ns = time.monotonic_ns(), time.time_ns()
        due_unix_ns = now_unix_ns - (now_mono_ns - due_mono_ns)
        sequence = self.probes.add(due_mono_ns, now_mono_ns, due_unix_ns)
        body = encode_echo(Opcode.ECHO, Echo(self._session, sequence), self._size)
        try:
            self._context.port.send(self._peer, body, way=self._way)
        except PeerUnreachableError as exc:
            self.probes.forget_last()
            self._unsent += 1
            if self._unsent == 1:
                self.errors.append(f"not all could be sent: {exc}")
        if (now_mono_ns / 1e9) - self._told_mono_s >= _PROGRESS_EVERY_S:
            self._told_mono_s = now_mono_ns / 1e9
            self._tell()

    def _tell(self) -> None:
        probes = self.probes
        newest, line = probes.highest, f"{probes.replied} of {len(probes)} answered"
        rtt_s: float | None = None
        if newest >= 0:
            there = probes.replied_unix_ns[newest] - probes.received_unix_ns[newest]
            rtt_s = (probes.arrived_unix_ns[newest] - probes.written_unix_ns[newest] - there) / 1e9
            line += f", {rtt_s * 1e3:.3f} ms"
        done = len(probes) / self._count
        self._context.progress(line, done, sent=len(probes), received=probes.replied, rtt_s=rtt_s)

    async def _wait_for_replies(self) -> None:
        deadline_mono_s = time.monotonic() + self._timeout_s
        is_stopping = False
        while self.probes.replied < len(self.probes) and time.monotonic() < deadline_mono_s:
            if self._context.stopping.is_set() and not is_stopping:
                is_stopping = True
                deadline_mono_s = min(deadline_mono_s, time.monotonic() + _STOPPED_WAIT_S)
            await asyncio.sleep(_POLL_S)

    async def _end(self) -> ReflectorCounts | None:
        asked: dict[str, object] = {"session": self._session}
        try:
            read = Params(
                await self._context.control.ask(self._peer, "session.end", asked, timeout_s=_END_TIMEOUT_S)
            )
            return ReflectorCounts(
                received=read.whole("received"), dropped=read.whole("dropped"), unsent=read.whole("unsent")
            )
        except PeerError as exc:
            why = why_no_counts(self._context, self._peer, exc)
            self.errors.append(f"loss cannot be placed to the end: {why}")
            return None
