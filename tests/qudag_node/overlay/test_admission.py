"""Which links may stand, decided on links that never had a socket."""

from __future__ import annotations

import pytest

from qudag_node.overlay.admission import Admission
from qudag_node.overlay.faults import LinkRefusedError
from qudag_node.overlay.frames import GoodbyeReason
from qudag_node.overlay.handshake import Role
from qudag_node.overlay.link import Link
from qudag_node.peerid import PeerId
from tests.qudag_node.overlay.links import End, quiet

SMALL, OWN, LARGE = PeerId("12D3KooWA"), PeerId("12D3KooWM"), PeerId("12D3KooWZ")


class Desk:
    """An admission, and links to ask it about."""

    def __init__(self, **limits: float) -> None:
        settings: dict[str, float] = {"max_links": 8, "max_per_address": 8, "max_pending": 8, "settle_s": 5.0}
        settings.update(limits)
        self.admission = Admission(
            OWN,
            max_links=int(settings["max_links"]),
            max_per_address=int(settings["max_per_address"]),
            max_pending=int(settings["max_pending"]),
            settle_s=settings["settle_s"],
        )
        self._end = End(quiet())

    def dialled(self) -> Link:
        link = Link(self._end.settings, Role.CLIENT)
        self.admission.dialling(link)
        return link

    def accepted(self, host: str = "192.0.2.1") -> Link:
        link = Link(self._end.settings, Role.SERVER)
        self.admission.accept(link, host)
        return link

    def reason(self, link: Link, peer_id: PeerId, now_mono_s: float = 0.0) -> GoodbyeReason:
        with pytest.raises(LinkRefusedError) as caught:
            self.admission.admit(link, peer_id, now_mono_s)
        return caught.value.reason


async def test_a_link_to_oneself_is_refused_at_either_end() -> None:
    desk = Desk()
    assert desk.reason(desk.dialled(), OWN) is GoodbyeReason.OTHER
    assert desk.reason(desk.accepted(), OWN) is GoodbyeReason.OTHER


@pytest.mark.parametrize("peer_id", [SMALL, LARGE])
async def test_a_second_dial_to_the_same_peer_is_given_up(peer_id: PeerId) -> None:
    desk = Desk()
    assert desk.admission.admit(desk.dialled(), peer_id, 0.0) == []
    assert desk.reason(desk.dialled(), peer_id) is GoodbyeReason.DUPLICATE


async def test_the_smaller_end_keeps_its_own_dial() -> None:
    desk = Desk()
    desk.admission.admit(desk.dialled(), LARGE, 0.0)
    assert desk.reason(desk.accepted(), LARGE) is GoodbyeReason.DUPLICATE


async def test_the_larger_end_gives_its_own_dial_up() -> None:
    desk = Desk()
    dial = desk.dialled()
    desk.admission.admit(dial, SMALL, 0.0)
    assert desk.admission.admit(desk.accepted(), SMALL, 0.0) == [dial]


async def test_the_smaller_end_replaces_a_link_that_is_old() -> None:
    desk = Desk()
    link = desk.accepted()
    desk.admission.admit(link, LARGE, 0.0)
    desk.admission.up(link, LARGE)
    link.up_mono_s = 10.0
    assert desk.reason(desk.accepted(), LARGE, 12.0) is GoodbyeReason.DUPLICATE
    assert desk.admission.admit(desk.accepted(), LARGE, 20.0) == [link]


async def test_the_larger_end_replaces_a_link_at_once() -> None:
    desk = Desk()
    link = desk.accepted()
    desk.admission.admit(link, SMALL, 0.0)
    desk.admission.up(link, SMALL)
    assert desk.admission.admit(desk.accepted(), SMALL, 0.0) == [link]


async def test_no_more_links_than_allowed_but_a_replacement_is_none_more() -> None:
    desk = Desk(max_links=1)
    link = desk.accepted()
    desk.admission.admit(link, SMALL, 0.0)
    desk.admission.up(link, SMALL)
    assert desk.reason(desk.accepted(), LARGE) is GoodbyeReason.FULL
    assert desk.reason(desk.dialled(), LARGE) is GoodbyeReason.FULL
    assert desk.admission.admit(desk.accepted(), SMALL, 0.0) == [link]


@pytest.mark.parametrize(
    ("first", "second", "is_one_site"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8::ffff:0:0:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("somewhere", "somewhere", True),
    ],
)
async def test_connections_are_counted_by_where_they_come_from(
    first: str, second: str, is_one_site: bool
) -> None:
    desk = Desk(max_per_address=1)
    link = desk.accepted(first)
    if not is_one_site:
        desk.accepted(second)
        return
    with pytest.raises(LinkRefusedError, match=r"1 links from .* are the limit"):
        desk.accepted(second)
    desk.admission.closed(link)
    desk.accepted(second)


async def test_handshakes_are_limited_links_that_stand_are_none() -> None:
    desk = Desk(max_pending=1)
    link = desk.accepted()
    with pytest.raises(LinkRefusedError, match="1 handshakes at once are the limit"):
        desk.accepted("192.0.2.2")
    desk.admission.admit(link, SMALL, 0.0)
    desk.admission.up(link, SMALL)
    desk.accepted("192.0.2.2")
    assert (desk.admission.pending_count, desk.admission.link_count) == (1, 1)


async def test_what_is_closed_leaves_nothing() -> None:
    desk = Desk()
    dial, link = desk.dialled(), desk.accepted()
    desk.admission.admit(link, SMALL, 0.0)
    desk.admission.up(link, SMALL)
    for closed in (dial, link):
        desk.admission.down(closed)
        desk.admission.closed(closed)
        desk.admission.closed(closed)
    # A link without a handshake does not know its peer: its place is given up by name.
    assert desk.admission.pending_count == 0
    assert desk.admission.opening() == []
