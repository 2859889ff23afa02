"""The events: numbered, bounded, and quiet about what repeats."""

from __future__ import annotations

from qudag_node.overlay.events import Event, EventKind, EventLog, Severity


class StillClock:
    """Time moves when the test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    def monotonic_ns(self) -> int:
        return round(self.now_s * 1e9)

    def time(self) -> float:
        return 1.7e9 + self.now_s

    def time_ns(self) -> int:
        return round(self.time() * 1e9)


def test_events_are_numbered_and_read_from_anywhere() -> None:
    log = EventLog(StillClock(), capacity=3)
    for number in range(1, 6):
        log.add(EventKind.LINK_UP, f"peer{number}", "dialled")
    assert log.seq == 5
    assert [event.seq for event in log.since(0)] == [3, 4, 5]
    assert [event.subject for event in log.since(4)] == ["peer5"]
    assert log.since(5) == log.since(99) == []
    assert log.since(0)[0].unix_s == 1.7e9 + 1000


def test_each_kind_has_its_severity_unless_told_otherwise() -> None:
    log = EventLog(StillClock())
    log.add(EventKind.LINK_UP, "a", "")
    log.add(EventKind.PARTITION, "b", "")
    log.add(EventKind.LINK_DOWN, "c", "in order", Severity.INFO)
    assert [event.severity for event in log.since(0)] == ["info", "error", "info"]


def test_what_repeats_is_told_once_in_a_while_with_how_often() -> None:
    clock = StillClock()
    log = EventLog(clock)
    for _ in range(50):
        log.add_quietly(EventKind.LINK_REFUSED, "192.0.2.1", "garbage")
    log.add_quietly(EventKind.LINK_REFUSED, "192.0.2.2", "garbage")
    clock.now_s += 11
    log.add_quietly(EventKind.LINK_REFUSED, "192.0.2.1", "garbage")
    assert [event.text for event in log.since(0)] == [
        "garbage",
        "garbage",
        "garbage (and 49 times since the last such line)",
    ]


def test_a_flood_of_different_subjects_pushes_nothing_out() -> None:
    clock = StillClock()
    log = EventLog(clock, capacity=1024)
    log.add(EventKind.PARTITION, "peer1", "can no longer be reached")
    for number in range(5000):
        log.add_quietly(EventKind.LINK_REFUSED, f"2001:db8::{number:x}", "garbage")
    assert len(log.since(0)) < 300
    assert log.since(0)[0].kind is EventKind.PARTITION


def test_listeners_hear_every_event_until_they_stop() -> None:
    log = EventLog(StillClock())
    heard: list[Event] = []
    stop = log.listen(heard.append)
    log.add(EventKind.LINK_UP, "a", "")
    stop()
    stop()
    log.add(EventKind.LINK_UP, "b", "")
    assert [event.subject for event in heard] == ["a"]
