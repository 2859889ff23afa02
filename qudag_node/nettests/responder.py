"""`Responder`: this node's part in the tests of others.

    caps      {}                                     -> what this node allows, and what of it is free
    counters  {}                                     -> its test traffic and drops
    dialback  {port?}                                -> how far it gets dialling the asker, step by step
    session.open  {kind, session, duration_s, …}     -> {granted, and what the kind tells}
    session.end   {session}                          -> what the kind counted
    session.abort {session}                          -> {}

A session has 16 random bytes of its asker's for a name, and belongs to that peer. It ends when it is told
to, at its deadline, when its asker is banned, or has been out of reach for some seconds. What a session does
is its kind's: ``add_kind`` takes what opens it. The asker is a stranger; who it is has been proved.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Final, Protocol, Self

from qudag_node.errors import DeclinedError
from qudag_node.nettests.consent import KINDS, Consent, Grant
from qudag_node.nettests.control import Asker, Control
from qudag_node.nettests.params import Params
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.endpoints import Endpoint
from qudag_node.overlay.ratelimit import FairBudget
from qudag_node.overlay.seen import SeenCache
from qudag_node.overlay.testport import TestPort, Way
from qudag_node.peerid import PeerId

__all__ = ["LINK_KINDS", "SESSION_BYTES", "Opener", "Responder", "ResponderSession"]

_log = logging.getLogger(__name__)

SESSION_BYTES: Final = 16
#: What needs a link of its own to the asker: the key, and the address to send to, are the link's.
LINK_KINDS: Final = frozenset({"stamp", "tcp", "udp"})

_SWEEP_S = 0.25
# A route may come back; so long nothing is known of the asker before its session ends.
_OUT_OF_REACH_S = 5.0
_ABORT_TIMEOUT_S = 5.0
_DIAL_TIMEOUT_S = 3.0
# A dial tells whether a port is open. It is one that the asker has announced, on the address it links from,
# and so seldom that nobody scans with it; hosts are counted, not peers, because identities cost nothing.
_DIALS_PER_S, _DIALS_BURST = 1.0, 8.0
_DIALS_PER_S_EACH, _DIALS_BURST_EACH = 0.1, 3.0
# A relay may send again what it has passed on, and so open in another's name what that one had closed. The
# names of so many sessions are remembered; at the rate below that is a quarter of an hour at least.
_NAMES = 16_384
# Opening may start a process.
_OPENS_PER_S, _OPENS_BURST = 8.0, 32.0
_OPENS_PER_S_EACH, _OPENS_BURST_EACH = 2.0, 12.0


class ResponderSession(Protocol):
    """One session of some kind, at the tested end."""

    async def describe(self) -> dict[str, Any]:
        """Return what the asker must know to begin, for instance the port."""
        ...

    async def finish(self) -> dict[str, Any]:
        """The asker is done: stop, free everything, return what was counted."""
        ...

    async def abort(self) -> None:
        """Nobody asks for the counts any more: stop and free everything; also when ``finish`` has failed."""
        ...


#: Opens a session of a kind within a grant, or raises a ``NodeError`` to decline. The parameters are a
#: stranger's: read them with ``Params``. It frees everything when it is cancelled or fails.
Opener = Callable[[Asker, dict[str, object], Grant], Awaitable[ResponderSession]]


@dataclass(slots=True, eq=False)
class _Open:
    """A session that is open, or is being opened (``session`` None)."""

    grant: Grant
    expecting: AbstractContextManager[None]
    session: ResponderSession | None = None
    reached_mono_s: float = 0.0
    is_ending: bool = False


class Responder:
    """An async context manager: sessions are watched while it is entered, and ended when it is left."""

    def __init__(self, port: TestPort, control: Control, consent: Consent, clock: Clock) -> None:
        self._port = port
        self._consent = consent
        self._clock = clock
        self._opener_by_kind: dict[str, Opener] = {}
        self._open: dict[tuple[PeerId, bytes], _Open] = {}
        self._dials = FairBudget(
            _DIALS_PER_S,
            _DIALS_BURST,
            each_per_s=_DIALS_PER_S_EACH,
            each_burst=_DIALS_BURST_EACH,
            now_mono_s=clock.monotonic(),
        )
        self._used_names = SeenCache(_NAMES)
        self._opens = FairBudget(
            _OPENS_PER_S,
            _OPENS_BURST,
            each_per_s=_OPENS_PER_S_EACH,
            each_burst=_OPENS_BURST_EACH,
            now_mono_s=clock.monotonic(),
        )
        self._tasks: asyncio.TaskGroup | None = None
        self._sweeping: asyncio.Task[None] | None = None
        for method, handler in (
            ("caps", self._caps),
            ("counters", self._counters),
            ("dialback", self._dial_back),
            ("session.open", self._open_session),
            ("session.end", self._end_session),
            ("session.abort", self._abort_session),
        ):
            control.serve(method, handler)

    def __len__(self) -> int:
        """How many sessions are open."""
        return len(self._open)

    async def __aenter__(self) -> Self:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        self._sweeping = self._tasks.create_task(self._sweep(), name="test sessions")
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        tasks, self._tasks = self._tasks, None
        if self._sweeping is not None:
            self._sweeping.cancel()
        await asyncio.gather(*(self._drop(key, "this node is stopping") for key in tuple(self._open)))
        if tasks is not None:
            # Not told of an error of the body, which is to come out as it is, not in a group.
            await tasks.__aexit__(None, None, None)

    def add_kind(self, kind: str, opener: Opener) -> None:
        """Let sessions of a kind be opened."""
        if kind not in KINDS or kind in self._opener_by_kind:
            raise ValueError(f"{kind!r} is no kind, or is there already")
        self._opener_by_kind[kind] = opener

    # What is asked

    async def _caps(self, _: Asker, __: dict[str, object]) -> dict[str, Any]:
        consent = self._consent
        consent.expire(self._clock.monotonic())
        return {
            **asdict(consent.caps),
            "max_gentle_duration_s": consent.caps.max_gentle_duration_s,
            "kinds": sorted(self._opener_by_kind),
            "sessions": len(consent.grants),
            "heavy_sessions": consent.heavy,
            "free_rate_bits_per_s": consent.free_rate_bits_per_s,
            "free_packets_per_s": consent.free_packets_per_s,
        }

    async def _counters(self, _: Asker, __: dict[str, object]) -> dict[str, Any]:
        self._consent.require_enabled()
        return {"drops": dict(self._port.drop_counts()), **asdict(self._port.traffic())}

    async def _dial_back(self, asker: Asker, params: dict[str, object]) -> dict[str, Any]:
        self._consent.require_enabled()
        link = asker.facts.link
        if asker.way is not Way.LINK or link is None:
            raise DeclinedError("only a neighbour is dialled back")
        if not link.listen_port:
            raise DeclinedError("you have announced no address to be dialled at")
        port = Params(params).whole("port", link.listen_port, least=1, most=65_535)
        if port != link.listen_port:
            raise DeclinedError(f"only the port that you have announced is dialled: {link.listen_port}")
        host = link.remote[0]
        if not self._dials.take(host, self._clock.monotonic()):
            raise DeclinedError("dialled back often enough for now: again in 10 s")
        steps = await self._port.examine(host, port, expected=asker.peer, timeout_s=_DIAL_TIMEOUT_S)
        return {
            "address": str(Endpoint(host, port)),
            "reachable": steps[-1].ok and steps[-1].step == "protocol",
            "steps": [asdict(step) for step in steps],
        }

    # Sessions

    async def _open_session(self, asker: Asker, params: dict[str, object]) -> dict[str, Any]:
        if self._tasks is None:
            raise DeclinedError("it is stopping, or has not begun")
        read = Params(params)
        kind, name = read.text("kind"), read.binary("session", SESSION_BYTES)
        opener = self._opener_by_kind.get(kind)
        self._consent.require_enabled()
        if opener is None:
            raise DeclinedError(
                f"tests of kind {kind!r} are not known here" if kind.isprintable() else "no kind"
            )
        if kind in LINK_KINDS and (asker.way is not Way.LINK or asker.facts.link is None):
            raise DeclinedError(f"{kind} sessions are for neighbours")
        key, name_in_full = (asker.peer, name), asker.peer.encode() + name
        if name_in_full in self._used_names:
            raise DeclinedError("a session of this name has been opened already")
        now_mono_s = self._clock.monotonic()
        if not self._opens.take(asker.peer, now_mono_s):
            raise DeclinedError("sessions are being opened too fast: again in a second", is_passing=True)
        grant = self._consent.ask(
            asker.peer,
            kind,
            duration_s=read.number("duration_s"),
            rate_bits_per_s=read.optional_number("rate_bits_per_s"),
            packets_per_s=read.number("packets_per_s", 0.0),
            now_mono_s=now_mono_s,
        )
        self._used_names.add(name_in_full, now_mono_s)
        opened = self._open[key] = _Open(grant, self._expecting(grant), reached_mono_s=now_mono_s)
        opened.expecting.__enter__()
        described: dict[str, Any] = {}
        try:
            session = await opener(asker, params, grant)
            if self._open.get(key) is opened:
                opened.session = session
                described = await session.describe()
        except BaseException:
            await self._drop(key, "it could not be opened", only=opened)
            raise
        if opened.session is None:
            await _abort(session)
            raise DeclinedError("the session has ended while it was being opened")
        granted = {
            "duration_s": grant.duration_s,
            "rate_bits_per_s": grant.rate_bits_per_s,
            "packets_per_s": grant.packets_per_s,
        }
        return {**described, "granted": granted}

    async def _end_session(self, asker: Asker, params: dict[str, object]) -> dict[str, Any]:
        key = asker.peer, Params(params).binary("session", SESSION_BYTES)
        opened = self._open.get(key)
        if opened is None or opened.session is None or opened.is_ending:
            raise DeclinedError("no session of this name is open; it may have reached its deadline")
        opened.is_ending = True
        try:
            counted = await opened.session.finish()
        except BaseException:
            await self._drop(key, "it could not be finished", only=opened)
            raise
        self._forget(key, opened)
        return counted

    async def _abort_session(self, asker: Asker, params: dict[str, object]) -> dict[str, Any]:
        key = asker.peer, Params(params).binary("session", SESSION_BYTES)
        opened = self._open.get(key)
        if opened is not None and not opened.is_ending:
            await self._drop(key, "its asker gave it up", only=opened)
        return {}

    # Ends

    async def _sweep(self) -> None:
        """End the sessions that nobody ends, until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            now_mono_s = self._clock.monotonic()
            for key, opened in tuple(self._open.items()):
                why = self._why_to_end(key[0], opened, now_mono_s)
                if why and self._tasks is not None:
                    self._tasks.create_task(self._drop(key, why, only=opened), name="end of a test session")

    def _why_to_end(self, peer: PeerId, opened: _Open, now_mono_s: float) -> str:
        if now_mono_s >= opened.grant.deadline_mono_s:
            return "it has reached its deadline"
        facts = self._port.facts(peer)
        if facts.is_banned:
            return "its asker is banned"
        is_reached = facts.link is not None if opened.grant.kind in LINK_KINDS else facts.hops > 0
        if is_reached:
            opened.reached_mono_s = now_mono_s
        elif now_mono_s - opened.reached_mono_s > _OUT_OF_REACH_S:
            return "its asker is out of reach"
        return ""

    async def _drop(self, key: tuple[PeerId, bytes], why: str, *, only: _Open | None = None) -> None:
        opened = self._open.get(key)
        if opened is None or (only is not None and opened is not only):
            return
        self._forget(key, opened)
        _log.info("a %s session of %s ends: %s", opened.grant.kind, key[0], why)
        if opened.session is not None:
            await _abort(opened.session)

    def _forget(self, key: tuple[PeerId, bytes], opened: _Open) -> None:
        if self._open.get(key) is opened:
            del self._open[key]
            opened.expecting.__exit__(None, None, None)
        self._consent.end(opened.grant, self._clock.monotonic())

    def _expecting(self, grant: Grant) -> AbstractContextManager[None]:
        """Return what lets the session's messages in, where they are messages."""
        if grant.kind in LINK_KINDS:
            return nullcontext()
        return self._port.expecting(grant.peer, grant.packets_per_s)


async def _abort(session: ResponderSession) -> None:
    try:
        async with asyncio.timeout(_ABORT_TIMEOUT_S):
            await session.abort()
    except Exception:  # noqa: BLE001  # the boundary of one session: the others, and the node, go on
        _log.exception("a test session could not be ended in order")
