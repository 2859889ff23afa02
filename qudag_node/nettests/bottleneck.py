"""Why a transfer was not faster, from what both ends counted while it was steady. Pure.

The sender's kernel knows how long it had data to send and waited for the receiver's window, for our own send
buffer, or for neither: then the congestion window held it, which is the path's rate or its loss. A process
that wants a core all the time is the limit itself, and then the kernel's word for it (the receiver's window,
the send buffer) is the consequence, so processes are asked first; and a rate that was agreed explains itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Bottleneck", "End", "Limit", "Sender", "bottleneck", "rate_text"]

#: This share of the cap is the cap.
_CAPPED_RATIO = 0.97
_HELD_RATIO = 0.1
#: A thread that wants this share of the time is what limits.
_PRESSED_RATIO = 0.85
#: This share of the time in which there was data to send.
_LIMITED_RATIO = 0.25
#: So long a window is closed by a receiver that cannot keep up.
_CLOSED_RATIO = 0.1
#: Less time with data to send than this is a sender that had none.
_BUSY_RATIO = 0.5
#: Delay and loss that speak of a queue.
_QUEUE_RATIO = 1.5
_QUEUE_US = 500
_LOSSY_RATIO = 0.001


class Limit(StrEnum):
    """What limits a transfer."""

    #: The rate that was asked for, or that the tested peer allows.
    CAP = "cap"
    #: The process at this end, or its cores.
    LOCAL_CPU = "local_cpu"
    #: The process at the other end.
    REMOTE_CPU = "remote_cpu"
    #: The receiver's window: its buffer is too small for the delay.
    RECEIVER_WINDOW = "receiver_window"
    #: The sender's buffer is too small for the delay.
    SEND_BUFFER = "send_buffer"
    #: The path's rate: a queue fills, or the congestion control has found the rate.
    PATH = "path"
    #: Loss without a queue keeps the congestion window small.
    LOSS = "loss"
    #: Nothing stands out.
    UNKNOWN = "unknown"


_TEXT = {
    Limit.CAP: "the agreed rate cap is the limit",
    Limit.LOCAL_CPU: "this host's CPU is the limit",
    Limit.REMOTE_CPU: "the other host's CPU is the limit",
    Limit.RECEIVER_WINDOW: "the receiver's window is the limit",
    Limit.SEND_BUFFER: "the sender's buffer is the limit",
    Limit.PATH: "the link is the limit",
    Limit.LOSS: "loss on the path is the limit: it keeps the congestion window small",
    Limit.UNKNOWN: "nothing that was counted says what the limit is",
}

#: What follows from the kernel's word alone, and so from a rate that has come to rest.
_LIMITS_OF_TCP = {Limit.RECEIVER_WINDOW, Limit.SEND_BUFFER, Limit.PATH, Limit.LOSS}


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What one end's process did, as shares of the time.

    Attributes:
        pressed_ratio: How much of the time its busiest thread wanted a core; None where unknown.
        cpu_ratio: Cores that it used, 1 is one core.
        held_ratio: The share of the time in which it kept to the cap, for each stream.
        is_local: Whether this is the host that asks.
    """

    pressed_ratio: float | None
    cpu_ratio: float | None
    held_ratio: float
    is_local: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """What the sender's kernel says of all streams together, while it was steady.

    Attributes:
        busy_ratio: The share of the time with data to send; the other two are shares of that.
        resent_ratio: Bytes sent again, of those sent.
        rtt_us: Smoothed, the mean of the samples; ``min_rtt_us`` the least that the connection saw.
    """

    busy_ratio: float
    rwnd_limited_ratio: float
    sndbuf_limited_ratio: float
    resent_ratio: float
    retransmits: int
    rtt_us: float
    min_rtt_us: float
    cwnd_bytes: float
    window_bytes: float
    delivery_bits_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """The verdict: which limit, in words, and what speaks for it."""

    limit: Limit
    evidence: tuple[str, ...]
    why_unknown: str = ""

    @property
    def text(self) -> str:
        """One clause for an operator."""
        return self.why_unknown or _TEXT[self.limit]

    def document(self) -> dict[str, object]:
        """Return the map of the result."""
        return {"verdict": self.limit.value, "text": self.text, "evidence": list(self.evidence)}


def bottleneck(
    *,
    goodput_bits_per_s: float,
    cap_bits_per_s: float | None,
    sending: End,
    receiving: End,
    sender: Sender | None,
    lost_ratio: float = 0.0,
    is_offered: bool = True,
    has_overflowed: bool = False,
    is_steady: bool = True,
    is_rising: bool = False,
) -> Bottleneck:
    """Name the limit of a transfer.

    Args:
        goodput_bits_per_s: What arrived.
        cap_bits_per_s: What was agreed, None for no limit.
        sending: The end that sent.
        receiving: The end that received.
        sender: What the sender's TCP knows; None for UDP, and where the kernel does not tell.
        lost_ratio: For UDP, what the path lost.
        is_offered: For UDP, whether the sender could send at the rate.
        has_overflowed: For UDP, whether the receiver's buffer had no room for some.
        is_steady: For TCP, whether the rate had come to rest; else only a queue speaks for the link.
        is_rising: For TCP, whether it still rose: then what held it was on its way to be overcome.
    """
    evidence: list[str] = []
    limits = (
        _cap(goodput_bits_per_s, cap_bits_per_s, sending, receiving, evidence),
        _cpu(
            receiving,
            "receiver",
            evidence,
            is_plausible=has_overflowed if sender is None else _may_receiver_limit(sender),
        ),
        _cpu(sending, "sender", evidence, is_plausible=sender is not None or not is_offered),
        _tcp(sender, evidence) if sender is not None else _udp(lost_ratio, evidence),
    )
    limit = next((each for each in limits if each is not None), Limit.UNKNOWN)
    if limit in _LIMITS_OF_TCP and sender is not None:
        why_unknown = _why_unknown(limit, sender, is_steady=is_steady, is_rising=is_rising)
        if why_unknown:
            return Bottleneck(Limit.UNKNOWN, tuple(evidence), why_unknown)
    return Bottleneck(limit, tuple(evidence))


def _why_unknown(limit: Limit, sender: Sender, *, is_steady: bool, is_rising: bool) -> str:
    """Why what TCP waited for is not the limit, in words; nothing when it is."""
    if is_steady or (limit is Limit.PATH and _has_queue(sender)):
        return ""
    if is_rising:
        return "the limit is unknown: the rate was still rising; run longer"
    if limit is Limit.PATH:
        return "the limit is unknown: the rate did not come to rest, and no queue has filled; run longer"
    return ""


def _cap(
    goodput: float, cap: float | None, sending: End, receiving: End, evidence: list[str]
) -> Limit | None:
    if cap is None:
        return None
    held = max(sending.held_ratio, receiving.held_ratio)
    text = f"{rate_text(goodput)} of the {rate_text(cap)} that were agreed"
    evidence.append(f"{text}, which held the sender back for {held:.0%} of the time" if held else text)
    is_capped = goodput >= _CAPPED_RATIO * cap or (held >= _HELD_RATIO and goodput >= 0.9 * cap)
    return Limit.CAP if is_capped else None


def _cpu(end: End, role: str, evidence: list[str], *, is_plausible: bool) -> Limit | None:
    if end.pressed_ratio is None:
        return None
    where = "this host" if end.is_local else "the other host"
    evidence.append(
        f"the {role}'s busiest thread on {where} wanted a core {min(end.pressed_ratio, 1):.0%} of the time"
    )
    if end.pressed_ratio < _PRESSED_RATIO or not is_plausible:
        return None
    return Limit.LOCAL_CPU if end.is_local else Limit.REMOTE_CPU


def _tcp(sender: Sender, evidence: list[str]) -> Limit | None:
    evidence += [
        f"waiting for the receiver's window {sender.rwnd_limited_ratio:.0%} of the time, "
        f"for the send buffer {sender.sndbuf_limited_ratio:.0%}",
        f"congestion window {_size(sender.cwnd_bytes)}, receiver's window {_size(sender.window_bytes)}",
        f"RTT {sender.rtt_us / 1000:.2f} ms loaded, {sender.min_rtt_us / 1000:.2f} ms at least; "
        f"{sender.retransmits} retransmits ({sender.resent_ratio:.2%} of the bytes)",
    ]
    if sender.rwnd_limited_ratio >= max(_LIMITED_RATIO, sender.sndbuf_limited_ratio):
        return Limit.RECEIVER_WINDOW
    if sender.sndbuf_limited_ratio >= _LIMITED_RATIO:
        return Limit.SEND_BUFFER
    if sender.busy_ratio < _BUSY_RATIO:
        evidence.append(f"there was data to send only {sender.busy_ratio:.0%} of the time")
        return None
    if not _has_queue(sender) and sender.resent_ratio >= _LOSSY_RATIO and _is_window_full(sender):
        return Limit.LOSS
    return Limit.PATH


def _may_receiver_limit(sender: Sender) -> bool:
    """A receiver that is too slow closes its window; one that wakes for every packet only looks busy."""
    return sender.rwnd_limited_ratio >= _CLOSED_RATIO or not _has_queue(sender)


def _has_queue(sender: Sender) -> bool:
    return sender.rtt_us - sender.min_rtt_us > max(_QUEUE_US, (_QUEUE_RATIO - 1) * sender.min_rtt_us)


def _is_window_full(sender: Sender) -> bool:
    """Whether the window, and no pacing by the congestion control, explains the rate."""
    if sender.delivery_bits_per_s is None or sender.rtt_us <= 0:
        return True
    return sender.cwnd_bytes * 8e6 / sender.rtt_us <= 1.3 * sender.delivery_bits_per_s


def _udp(lost_ratio: float, evidence: list[str]) -> Limit | None:
    evidence.append(f"the path lost {lost_ratio:.2%} of the packets")
    return Limit.PATH if lost_ratio >= _LOSSY_RATIO else None


def rate_text(bits_per_s: float) -> str:
    """Write a rate with four digits."""
    for unit, size in (("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if bits_per_s >= size:
            return f"{bits_per_s / size:.4g} {unit}"
    return f"{bits_per_s:.0f} bit/s"


def _size(count: float) -> str:
    return f"{count / (1 << 20):.1f} MiB" if count >= 1 << 20 else f"{count / 1024:.0f} KiB"
