"""The connectivity test: how far one gets with a peer, step by step, and why not further.

    resolve -> tcp -> tls -> identity -> protocol        dialling its address, as a link would
    ping-udp, ping-link                                  with the link that stands, if one does

With ``outside`` a peer does the first five back to this node: can it be reached from where others are? A peer
that is reached through relays, and whose address is not known here, is asked for it:

    addresses  {}  ->  {listen: where it may be dialled, HOST:PORT, at most 8}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

from qudag_node.errors import ConfigError, DeclinedError, NodeError, PeerTimeoutError, PeerUnreachableError
from qudag_node.nettests import ping
from qudag_node.nettests.consent import Consent
from qudag_node.nettests.context import Context
from qudag_node.nettests.control import Asker, Control
from qudag_node.nettests.requests import ConnectivityOptions, PingOptions
from qudag_node.nettests.results import Measured
from qudag_node.nettests.words import count_of, delay, listed
from qudag_node.overlay.endpoints import Endpoint, parse_endpoint
from qudag_node.overlay.examine import EXAMINE_STEPS
from qudag_node.overlay.testport import TestPort
from qudag_node.overlay.text import clean_text
from qudag_node.peerid import PeerId

__all__ = ["METHOD", "AddressService", "Step", "read_steps", "run"]

METHOD = "steps"
_ADDRESSES = "addresses"
_MAX_ADDRESSES = 8
_ASK_TIMEOUT_S = 3.0
_PINGS = 5
_PING_STEPS = {"ping-udp": "udp", "ping-link": "link"}
_PING_INTERVAL_S = 0.05
# Of those asked to dial back; one answer is enough, and one that cannot be reached by one may be by another.
_MAX_DIALLERS = 3
# A peer takes up to five steps of three seconds.
_DIAL_BACK_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step.

    Attributes:
        ok: None when it was not tried.
        detail: What was found.
        reason: Why it failed, likely, or was not tried.
    """

    step: str
    ok: bool | None
    duration_s: float | None
    detail: str = ""
    reason: str = ""

    def document(self) -> dict[str, object]:
        """Return it as it stands in the result."""
        return {
            "step": self.step,
            "ok": self.ok,
            "duration_s": self.duration_s,
            "detail": self.detail,
            "reason": self.reason,
        }


class AddressService:
    """Tells peers where this node may be dialled, which its neighbours know from the beginning."""

    def __init__(self, *, port: TestPort, control: Control, consent: Consent) -> None:
        self._port = port
        self._consent = consent
        control.serve(_ADDRESSES, self._tell)

    async def _tell(self, _: Asker, __: dict[str, object]) -> dict[str, Any]:
        self._consent.require_enabled()
        return {"listen": list(self._port.own_addresses()[:_MAX_ADDRESSES])}


async def run(context: Context, options: ConnectivityOptions) -> Measured:
    """Go through the steps with a peer, or have a peer go through them with this node.

    Raises:
        ConfigError: Neither a peer nor an address is given, or the address is none.
        PeerUnreachableError: The peer is banned, or nobody is there to dial back.
        DeclinedError: Nobody wants to dial back.
    """
    if options.outside:
        return await _from_outside(context)
    if context.target is not None:
        facts = context.port.facts(context.target)
        if facts.is_banned:
            raise PeerUnreachableError(
                f"{facts.name} is banned by this node, which dials it no more; to lift the ban: "
                f"qudag peer unban {facts.name}"
            )
    elif not options.address:
        raise ConfigError("connectivity", "which peer, or which address?")
    steps = await _dial(context, options)
    peer = context.target or _found(context, steps)
    declined: list[str] = []
    for name, via in _PING_STEPS.items():
        if context.stopping.is_set():
            steps.append(_not_tried(name, "stopped"))
            continue
        _tell(context, steps, name)
        steps.append(await _ping(replace(context, target=peer), options, name, via, declined))
    has_failed = any(step.ok is False for step in steps)
    unlinked = "" if has_failed else await _why_not_linked(context)
    has_declined = bool(declined) and not has_failed
    return Measured(
        success=not has_failed and not unlinked and not has_declined,
        verdict=unlinked or _verdict(context.port, peer, options.address, steps),
        method=METHOD,
        fields=_fields(steps, is_reachable=None, by=None),
        declined=declined[0] if has_declined else None,
    )


def read_steps(told: object) -> list[Step]:
    """Read the steps that a peer has taken; what is none of them is left out."""
    steps: list[Step] = []
    for entry in told if isinstance(told, list) else []:
        match entry:
            case {"step": str(step), "ok": bool(ok), "duration_s": float(duration_s) | int(duration_s)} if (
                step in EXAMINE_STEPS and 0 <= duration_s < 3600
            ):
                detail, reason = (clean_text(str(entry.get(name, "")), 300) for name in ("detail", "reason"))
                steps.append(
                    Step(step=step, ok=ok, duration_s=float(duration_s), detail=detail, reason=reason)
                )
            case _:
                continue
    return steps[: len(EXAMINE_STEPS)]


# With a peer.


async def _address_of(context: Context, peer: PeerId) -> str:
    """Return where a peer may be dialled, as it is known here or as it says; empty when nobody knows."""
    facts = context.port.facts(peer)
    if facts.address or not facts.hops:
        return facts.address
    try:
        answer = await context.control.ask(peer, _ADDRESSES, {}, timeout_s=_ASK_TIMEOUT_S)
    except NodeError:
        return ""  # the first step says that nothing is known
    told = answer.get("listen")
    for text in told if isinstance(told, list) else []:
        try:
            endpoint = parse_endpoint(str(text))
        except ConfigError:
            continue
        if endpoint.port and not endpoint.is_unspecified:
            return str(endpoint)
    return ""


async def _dial(context: Context, options: ConnectivityOptions) -> list[Step]:
    text = options.address
    if not text and context.target is not None:
        text = await _address_of(context, context.target)
    if not text:
        reason = "no address of it is known here; --address HOST:PORT names one"
        return _filled([Step(step="resolve", ok=False, duration_s=None, reason=reason)])
    endpoint = parse_endpoint(text)
    _tell(context, [], f"dialling {endpoint}")
    taken = await context.port.examine(
        endpoint.host, endpoint.port, expected=context.target, timeout_s=options.timeout_s
    )
    return _filled(
        [
            Step(
                step=each.step,
                ok=each.ok,
                duration_s=each.duration_s,
                detail=each.detail or (str(endpoint) if each.step == "resolve" else ""),
                reason=each.reason,
            )
            for each in taken
        ]
    )


def _not_tried(name: str, why: str) -> Step:
    return Step(step=name, ok=None, duration_s=None, reason=f"not tried: {why}")


def _filled(steps: list[Step]) -> list[Step]:
    """Return the steps of dialling with those that were not come to."""
    why = f"{steps[-1].step} fails" if steps else "nothing is known of it"
    return steps + [_not_tried(name, why) for name in EXAMINE_STEPS[len(steps) :]]


async def _why_not_linked(context: Context) -> str:
    """Return why a peer whose address answers is not well all the same; empty when it is."""
    facts = None if context.target is None else context.port.facts(context.target)
    if context.target is None or facts is None or facts.link is not None:
        return ""
    if not facts.hops:
        return (
            f"{facts.name}: it answers at its address, but there is no link to it: "
            "it may have banned this node, or be full"
        )
    try:
        await context.control.ask(context.target, "caps", {}, timeout_s=_ASK_TIMEOUT_S)
    except (PeerTimeoutError, PeerUnreachableError):
        return (
            f"{facts.name}: it answers at its address, but there is no link to it, "
            "and through relays it does not answer: it may have banned this node"
        )
    except DeclinedError:
        pass  # it answers
    return ""


def _found(context: Context, steps: Sequence[Step]) -> PeerId | None:
    """Return who answered at an address that was given without a peer, if anybody of whom more is known."""
    found = next((step.detail for step in steps if step.step == "identity" and step.ok), None)
    return PeerId(found) if found is not None and found != context.port.own_id else None


async def _ping(
    context: Context, options: ConnectivityOptions, name: str, via: str, declined: list[str]
) -> Step:
    facts = None if context.target is None else context.port.facts(context.target)
    if facts is None or facts.link is None:
        way = "not linked"
        if facts is not None and facts.hops:
            way = f"reached through relays, {count_of(facts.hops, 'hop')}"
        return _not_tried(name, way)
    began_mono_s = context.clock.monotonic()
    pings = PingOptions(
        count=_PINGS, interval_s=_PING_INTERVAL_S, via=via, timeout_s=min(1.0, options.timeout_s)
    )
    detail = reason = ""
    ok: bool | None = False
    try:
        figures: Mapping[str, Any] = (await ping.run(replace(context, tell=_nobody), pings)).fields
    except DeclinedError as exc:
        ok, reason = None, f"not tried: it declined: {exc.reason}"
        declined.append(exc.reason)
    except NodeError as exc:
        reason = str(exc)
    else:
        ok = bool(figures["received"])
        detail = f"{figures['received']} of {figures['sent']} answered"
        if ok:
            detail += f", {delay(figures['rtt']['p50_s'])}"
        else:
            reason = _WHY_NO_PING[via]
    duration_s = context.clock.monotonic() - began_mono_s
    return Step(step=name, ok=ok, duration_s=duration_s, detail=detail, reason=reason)


def _nobody(_: Mapping[str, object]) -> None:
    """How far a ping is says nothing of how far the steps are."""


_WHY_NO_PING = {
    "udp": "a firewall between the two drops UDP; the link itself is TCP",
    "link": "the link stands, but the peer answers no echoes over it: it is stuck, or just being cut off",
}


def _verdict(port: TestPort, peer: PeerId | None, address: str, steps: Sequence[Step]) -> str:
    facts = None if peer is None else port.facts(peer)
    name = address if facts is None else facts.name
    failed = next((step for step in steps if step.ok is False), None)
    if failed is None:
        done = [step.step for step in steps if step.ok]
        left = [step.step for step in steps if step.ok is None]
        rest = f"; {listed(left)} not tried" if left else ""
        return f"{name}: {'the first ' if left else 'all '}{len(done)} steps succeed{rest}"
    line = f"{name}: {failed.step} fails: {failed.reason}"
    if facts is None or failed.step not in EXAMINE_STEPS:
        return line
    if facts.link is not None:
        return f"{line}. A link to it stands all the same"
    return f"{line}. It is reached all the same, through relays" if facts.hops else line


# From outside.


async def _from_outside(context: Context) -> Measured:
    port = context.port
    neighbours = sorted(port.neighbours(), key=lambda peer: _nearness(context, peer))
    if not neighbours:
        raise PeerUnreachableError("no peer is linked that could dial back")
    declined: list[str] = []
    blocked: tuple[PeerId, str, list[Step]] | None = None
    for peer in neighbours[:_MAX_DIALLERS]:
        name = port.facts(peer).name
        _tell(context, [], f"{name} dials back")
        try:
            answer = await context.control.ask(peer, "dialback", {}, timeout_s=_DIAL_BACK_TIMEOUT_S)
        except NodeError as exc:
            declined.append(f"{name}: {exc}")
            continue
        steps, address = read_steps(answer.get("steps")), clean_text(str(answer.get("address", "")), 300)
        if answer.get("reachable") is True and steps and all(step.ok for step in steps):
            return _reached(name, peer, address, steps, declined)
        if steps:
            blocked = blocked or (peer, address, steps)
        if context.stopping.is_set():
            break
    if blocked is None:
        raise DeclinedError(f"nobody dials back: {listed(declined) or 'stopped before anybody did'}")
    peer, address, steps = blocked
    failed = next((step for step in steps if not step.ok), steps[-1])
    name = port.facts(peer).name
    return Measured(
        success=False,
        verdict=f"not reachable from outside: {name} dialled {address}: {failed.step} fails: {failed.reason}",
        method=METHOD,
        fields={**_fields(_filled(steps), is_reachable=False, by=peer), "by_name": name, "address": address},
        errors=tuple(declined),
    )


def _reached(name: str, peer: PeerId, address: str, steps: list[Step], declined: list[str]) -> Measured:
    scope = _scope(address)
    verdict = f"reachable: {name} dialled {address}, and all {len(steps)} steps succeed"
    return Measured(
        success=True,
        verdict=f"{verdict}; {scope}" if scope else f"{verdict} from outside",
        method=METHOD,
        fields={
            **_fields(steps, is_reachable=None if scope else True, by=peer),
            "by_name": name,
            "address": address,
        },
        errors=tuple(declined),
    )


def _nearness(context: Context, peer: PeerId) -> tuple[int, float]:
    """Order who may dial back: those on the other side of the world first, those on this machine last."""
    link = context.port.facts(peer).link
    if link is None:
        return 3, 0.0
    host = link.remote[0]
    scope = _scope(str(Endpoint(host, 1)))
    return (0 if not scope else 1 if "private" in scope else 2), -(link.srtt_s or 0.0)


def _scope(address: str) -> str:
    """Return why being dialled at an address says nothing of the outside; empty when it does."""
    try:
        host = ip_address(parse_endpoint(address).host.partition("%")[0])
    except (NodeError, ValueError):
        return ""
    if host.is_loopback:
        return "that is this machine, and says nothing of the outside"
    if host.is_private or host.is_link_local:
        return "that is a private address, and says nothing of the outside"
    return ""


def _fields(steps: Sequence[Step], *, is_reachable: bool | None, by: PeerId | None) -> dict[str, object]:
    return {
        "steps": [step.document() for step in steps],
        "reachable_from_outside": is_reachable,
        "by": by,
        "by_name": None,
        "address": None,
    }


def _tell(context: Context, steps: Sequence[Step], line: str) -> None:
    total = len(EXAMINE_STEPS) + 2
    context.progress(line, len(steps) / total, steps=[step.document() for step in steps])
