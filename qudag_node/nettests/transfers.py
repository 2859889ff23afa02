"""What both ends of a transfer have counted, as the figures of a result. Pure.

What arrived is the receiver's to say. Where it has told nothing, what its kernel acknowledged is the next
best and is said to be that. The two ends' samples are laid beside each other by the time since each began,
which is within a round trip the same moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qudag_node.nettests.bottleneck import Bottleneck, End, Sender, bottleneck
from qudag_node.nettests.bulk.samples import Samples
from qudag_node.nettests.bulksession import Half, Transfer
from qudag_node.nettests.steady import interval_bounds, steadiness
from qudag_node.nettests.steady import rate_bits_per_s as moved_rate

__all__ = ["Figures", "figures_of"]

_INTERVAL_S = 1.0
#: A UDP sender that sent less than this share of the rate could not send more.
_OFFERED_RATIO = 0.97
#: Both ends' clocks, and round trips: so near its end a test has ended in time.
_END_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One direction's figures.

    Attributes:
        document: As they stand in the result.
        goodput_bits_per_s: While it was steady; None where nothing arrived.
        link_bits_per_s: The same with the headers of IP and TCP; None where they are not known.
        begin_s: Which part of the test counts, from ``begin_s`` to ``end_s`` after its start.
        sent_bytes: All that TCP sent, ``resent_bytes`` of it again.
        errors: What went wrong, in lines.
        has_lost_peer: The other node answered no more at the end, and nobody had ended the test.
        is_short: What moved ended before the test was to end.
    """

    document: dict[str, Any]
    goodput_bits_per_s: float | None
    link_bits_per_s: float | None
    begin_s: float
    end_s: float
    sent_bytes: int
    resent_bytes: int
    bottleneck: Bottleneck
    errors: tuple[str, ...]
    has_lost_peer: bool = False
    is_short: bool = False


def figures_of(
    transfer: Transfer, *, protocol: str, duration_s: float, omit_s: float | None, is_stopped: bool = False
) -> Figures:
    """Return the figures of one direction.

    Args:
        transfer: What was counted.
        protocol: ``tcp`` or ``udp``.
        duration_s: How long it was to last; what came after does not count.
        omit_s: What to leave out at the start; None: until it was steady.
        is_stopped: The test was ended early on purpose: an end that came early is no error.
    """
    sender, receiver = transfer.sender, transfer.receiver
    counting = _counting(sender, receiver, protocol)
    samples = counting.samples if counting is not None else Samples()
    has_lost_peer = transfer.has_lost_peer and not is_stopped
    # Who waits for a peer that is gone moves nothing: that would dilute the rate until then.
    kept = _Kept.of(_until_still(samples) if has_lost_peer else samples, duration_s, omit_s)
    lost_ratio, udp = _udp(transfer) if protocol == "udp" else (None, {})
    found = bottleneck(
        goodput_bits_per_s=kept.rate or 0.0,
        cap_bits_per_s=transfer.cap_bits_per_s,
        sending=_end(sender, kept, is_local=transfer.is_sender_local, is_sender=True),
        receiving=_end(receiver, kept, is_local=not transfer.is_sender_local, is_sender=False),
        sender=_tcp_sender(sender, kept) if protocol == "tcp" else None,
        lost_ratio=lost_ratio or 0.0,
        is_offered=_is_offered(sender, transfer.cap_bits_per_s),
        has_overflowed=bool(udp.get("receiver_dropped")),
        is_steady=kept.is_steady,
        is_rising=kept.is_rising,
    )
    at_sender = Samples() if sender is None else sender.samples
    algorithm = None if sender is None else sender.congestion_control
    is_tcp = protocol == "tcp"
    link_rate = _with_headers(sender, kept)
    document: dict[str, Any] = {
        "goodput_bits_per_s": kept.rate,
        "link_bits_per_s": link_rate,
        "intervals": list(_intervals(transfer, samples, kept, is_tcp=is_tcp)),
        "retransmits": _retransmits(sender, kept) if is_tcp else None,
        "loss_ratio": lost_ratio,
        "jitter_s": udp.pop("jitter_s", None),
        "bottleneck": found.document(),
        "omit_s": kept.begin_s,
        "steady": kept.is_steady,
        "cpu": _cpu(transfer, kept),
        "congestion_control": algorithm,
        "rate_cap_bits_per_s": transfer.cap_bits_per_s,
        "moved_bytes": samples.last("bytes"),
        **udp,
    }
    return Figures(
        document=document,
        goodput_bits_per_s=kept.rate,
        link_bits_per_s=link_rate,
        begin_s=kept.begin_s,
        end_s=kept.end_s,
        sent_bytes=at_sender.last("sent_bytes"),
        resent_bytes=at_sender.last("resent_bytes"),
        bottleneck=found,
        errors=_errors(transfer, counting, is_stopped=is_stopped),
        has_lost_peer=has_lost_peer,
        is_short=kept.end_s < duration_s - _END_S,
    )


@dataclass(frozen=True, slots=True)
class _Kept:
    """Which samples count."""

    first: int
    last: int
    begin_us: int
    end_us: int
    rate: float | None
    is_steady: bool
    is_rising: bool = False

    @property
    def begin_s(self) -> float:
        return self.begin_us / 1e6

    @property
    def end_s(self) -> float:
        return self.end_us / 1e6

    @classmethod
    def of(cls, samples: Samples, duration_s: float, omit_s: float | None) -> _Kept:
        if len(samples) < 2:
            return cls(0, 0, 0, 0, None, False)
        # The sender stops when its time is over: what lies beyond would dilute the rate.
        last = samples.index_at(int(duration_s * 1e6) + 1)
        if last > 1 and samples.at(last)["t_us"] > duration_s * 1e6:
            last -= 1
        t_us, counted = samples.column("t_us")[: last + 1], samples.column("bytes")[: last + 1]
        judged = steadiness(t_us, counted, omit_s=omit_s)
        # Nor does the time before the first byte count, which is the path's delay.
        began = next((at for at in range(last) if counted[at]), 0)
        judged = replace(judged, first=max(judged.first, began))
        return cls(
            judged.first,
            last,
            t_us[judged.first],
            t_us[last],
            moved_rate(t_us, counted, judged.first, last),
            judged.is_steady,
            judged.is_rising,
        )


def _until_still(samples: Samples) -> Samples:
    """Those until nothing more moved."""
    counted = samples.column("bytes")
    end = next((at for at, count in enumerate(counted) if count == counted[-1]), 0) + 1
    return Samples({name: samples.column(name)[:end] for name in samples.at(0)}) if counted else samples


def _counting(sender: Half | None, receiver: Half | None, protocol: str) -> Half | None:
    """Return whose count is what arrived."""
    if receiver is not None and len(receiver.samples) >= 2:
        return receiver
    # A TCP sender counts what was acknowledged; a UDP sender knows nothing of what arrived.
    return sender if protocol == "tcp" else None


def _with_headers(sender: Half | None, kept: _Kept) -> float | None:
    """What the goodput takes of a link: nearly all packets of a bulk transfer are full."""
    if sender is None or sender.header_ratio is None or kept.rate is None:
        return None
    return kept.rate * sender.header_ratio


def _span(half: Half, kept: _Kept) -> tuple[int, int]:
    """The samples of an end that lie in the part that counts."""
    samples = half.samples
    return samples.index_at(kept.begin_us), samples.index_at(kept.end_us)


def _retransmits(sender: Half | None, kept: _Kept) -> int | None:
    """Those of the part that counts: what its intervals have together."""
    if sender is None or "retransmits" not in sender.samples or not len(sender.samples):
        return None
    return sender.samples.grown("retransmits", *_span(sender, kept))


def _ratio(samples: Samples, name: str, first: int, last: int, shares: int = 1) -> float:
    elapsed_us = samples.grown("t_us", first, last) * shares
    return samples.grown(name, first, last) / elapsed_us if elapsed_us > 0 else 0.0


def _end(half: Half | None, kept: _Kept, *, is_local: bool, is_sender: bool) -> End:
    if half is None or len(half.samples) < 2:
        return End(pressed_ratio=None, cpu_ratio=None, held_ratio=0.0, is_local=is_local)
    first, last = _span(half, kept)
    samples = half.samples
    # A UDP sender always waits for its pace: that is no sign of a cap.
    is_held = not is_sender or "retransmits" in samples
    return End(
        pressed_ratio=_ratio(samples, "pressed_us", first, last) if samples.last("pressed_us") else None,
        cpu_ratio=_ratio(samples, "cpu_us", first, last),
        held_ratio=min(1.0, _ratio(samples, "held_us", first, last, half.streams)) if is_held else 0.0,
        is_local=is_local,
    )


def _tcp_sender(half: Half | None, kept: _Kept) -> Sender | None:
    if half is None or len(half.samples) < 2 or "busy_us" not in half.samples:
        return None
    first, last = _span(half, kept)
    samples = half.samples
    busy_us = samples.grown("busy_us", first, last)
    sent = samples.grown("sent_bytes", first, last)

    def mean(name: str) -> float:
        column = samples.column(name)[first : last + 1]
        return sum(column) / max(1, len(column))

    def share(name: str) -> float:
        return samples.grown(name, first, last) / busy_us if busy_us > 0 else 0.0

    return Sender(
        busy_ratio=_ratio(samples, "busy_us", first, last, half.streams),
        rwnd_limited_ratio=share("rwnd_limited_us"),
        sndbuf_limited_ratio=share("sndbuf_limited_us"),
        resent_ratio=samples.grown("resent_bytes", first, last) / sent if sent > 0 else 0.0,
        retransmits=samples.grown("retransmits", first, last),
        rtt_us=mean("rtt_us"),
        min_rtt_us=samples.last("min_rtt_us"),
        cwnd_bytes=mean("cwnd_bytes"),
        window_bytes=mean("window_bytes"),
        delivery_bits_per_s=mean("delivery_bytes_per_s") * 8 or None,
    )


def _intervals(
    transfer: Transfer, samples: Samples, kept: _Kept, *, is_tcp: bool
) -> Iterator[dict[str, Any]]:
    t_us, counted = samples.column("t_us"), samples.column("bytes")
    sender = transfer.sender
    for first, last in _bounds(t_us, kept):
        interval: dict[str, Any] = {
            "direction": transfer.way,
            "start_s": t_us[first] / 1e6,
            "end_s": t_us[last] / 1e6,
            "omitted": first < kept.first,
            "bits_per_s": moved_rate(t_us, counted, first, last),
        }
        if is_tcp:
            interval |= _tcp_interval(sender, t_us[first], t_us[last])
        else:
            interval |= {
                "packets": samples.grown("packets", first, last),
                "jitter_s": samples.at(last).get("jitter_us", 0) / 1e6,
            }
        yield interval


def _bounds(t_us: Sequence[int], kept: _Kept) -> Iterator[tuple[int, int]]:
    """The intervals of what is left out, and those of what counts."""
    for begin, end in ((0, kept.first), (kept.first, kept.last)):
        if begin < end:
            for first, last in interval_bounds(t_us[begin : end + 1], _INTERVAL_S):
                yield begin + first, begin + last


def _tcp_interval(sender: Half | None, begin_us: int, end_us: int) -> dict[str, Any]:
    if sender is None or "retransmits" not in sender.samples:
        return {"retransmits": None, "rtt_s": None, "cwnd_bytes": None}
    samples = sender.samples
    first, last = samples.index_at(begin_us), samples.index_at(end_us)
    newest = samples.at(last)
    rtts = samples.column("rtt_us")[first + 1 : last + 1] or [newest.get("rtt_us", 0)]
    return {
        "retransmits": samples.grown("retransmits", first, last),
        "rtt_s": sum(rtts) / len(rtts) / 1e6,
        "cwnd_bytes": newest.get("cwnd_bytes"),
        "receiver_window_bytes": newest.get("window_bytes"),
        "delivery_bits_per_s": newest.get("delivery_bytes_per_s", 0) * 8,
        "rwnd_limited_ratio": _ratio(samples, "rwnd_limited_us", first, last, sender.streams),
        "sndbuf_limited_ratio": _ratio(samples, "sndbuf_limited_us", first, last, sender.streams),
    }


def _cpu(transfer: Transfer, kept: _Kept) -> dict[str, float | None]:
    sender = _end(transfer.sender, kept, is_local=transfer.is_sender_local, is_sender=True).cpu_ratio
    receiver = _end(transfer.receiver, kept, is_local=not transfer.is_sender_local, is_sender=False).cpu_ratio
    local, remote = (sender, receiver) if transfer.is_sender_local else (receiver, sender)
    return {"local_ratio": local, "remote_ratio": remote}


def _udp(transfer: Transfer) -> tuple[float | None, dict[str, Any]]:
    """The packets' fates. Lost is what the path lost: what the receiver's buffer had no room for is apart."""
    sender, receiver = transfer.sender, transfer.receiver
    sent = sender.packets if sender is not None and len(sender.samples) else None
    unsent = sender.unsent if sender is not None else 0
    if receiver is None or not len(receiver.samples):
        return None, {"sent": sent, "received": None, "lost": None, "reordered": None, "unsent": unsent}
    counts = receiver.counts
    received = counts.get("received", 0)
    dropped = counts.get("receiver_dropped", 0)
    lost = None
    if sent is not None:
        # At the end the receiver's buffer may have dropped what no later packet could tell.
        dropped = min(dropped, max(0, sent - received))
        lost = max(0, sent - received - dropped)
    return (
        None if lost is None or not sent else lost / sent,
        {
            "sent": sent,
            "received": received,
            "lost": lost,
            "receiver_dropped": dropped,
            "duplicates": counts.get("duplicates", 0),
            "reordered": counts.get("reordered", 0),
            "unsent": unsent,
            "jitter_s": counts.get("jitter_ns", 0) / 1e9 if received > 1 else None,
        },
    )


def _is_offered(sender: Half | None, rate_bits_per_s: float) -> bool:
    if sender is None or len(sender.samples) < 2:
        return True
    samples = sender.samples
    offered = moved_rate(samples.column("t_us"), samples.column("bytes"), 0, len(samples) - 1)
    return offered is None or offered >= _OFFERED_RATIO * rate_bits_per_s


def _errors(transfer: Transfer, counting: Half | None, *, is_stopped: bool) -> tuple[str, ...]:
    errors: list[str] = []
    for half, name in ((transfer.sender, "sender"), (transfer.receiver, "receiver")):
        if half is not None and half.why_early and not (is_stopped and len(half.samples)):
            errors.append(f"{transfer.way}, the {name}: {half.why_early}")
    if counting is transfer.sender and counting is not None:
        errors.append(
            f"{transfer.way}: what arrived is what the peer's kernel acknowledged, not its own count"
        )
    return tuple(errors)
