"""Who is linked to whom: simultaneous dials, returns, pins, bans, limits, added peers, over real sockets."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest

from qudag_node.errors import (
    ConfigError,
    DataDirectoryError,
    NotFoundError,
    PeerRefusedError,
    PeerUnreachableError,
)
from qudag_node.overlay.dialer import read_added_peers
from qudag_node.overlay.events import EventKind
from qudag_node.overlay.faults import LinkIdentityError, LinkRefusedError
from qudag_node.overlay.frames import GoodbyeReason, RemoteFault
from qudag_node.overlay.identity import Identity
from qudag_node.overlay.peertable import PeerState
from qudag_node.overlay.storage import JsonValue, write_json
from qudag_node.publish import dial_maps
from tests.clocks import LeapingClock
from tests.qudag_node.overlay.links import until
from tests.qudag_node.overlay.nodes import Node, assert_same_counts, linked, running


async def listening(*names: str, **settings: object) -> list[Node]:
    nodes = [Node(name, **settings) for name in names]  # type: ignore[arg-type]
    for node in nodes:
        await node.overlay.start()
    return nodes


async def stopped(*nodes: Node) -> None:
    for node in nodes:
        await node.overlay.stop()


@pytest.mark.parametrize("round_number", range(8))
async def test_two_simultaneous_dials_end_in_one_link_and_lose_nothing(round_number: int) -> None:
    one, other = await listening("one", "other", ping_interval_s=3600, dead_peer_timeout_s=7200)
    try:
        for node, peer in ((one, other), (other, one)):
            node.overlay.add(peer.address if round_number % 2 else peer.overlay.listen_addresses[0])
            for _ in range(round_number // 2):
                await asyncio.sleep(0)
        await until(lambda: one.neighbours == {other.id} and other.neighbours == {one.id})
        for node in (one, other):
            await node.overlay.submit([b"x"] * 50)
        await until(lambda: one.collector.vertices_accepted == other.collector.vertices_accepted == 100)
        await asyncio.sleep(0.3)  # longer than any further dial would take
        [link], [its_link] = one.overlay.links(), other.overlay.links()
        assert link.role is not its_link.role
        for node in (one, other):
            statistics = node.collector.connections.statistics(now_mono_s=0)
            assert (statistics.active, dict(statistics.errors)) == (1, {})
        assert_same_counts(one, other)
    finally:
        await stopped(one, other)


async def test_a_configured_peer_is_dialled_again_after_it_returns() -> None:
    identity = Identity.generate()
    other = Node("other", identity=identity)
    await other.overlay.start()
    address = other.overlay.listen_addresses[0]
    one = Node("one", peers=(address,))
    async with running(one):
        await until(lambda: one.neighbours == {other.id})
        await other.overlay.stop()
        await until(lambda: one.neighbours == set())
        await until(lambda: bool(one.told(EventKind.DIAL_FAILED)))
        again = Node("other", identity=identity, listen=(address,))
        await again.overlay.start()
        await until(lambda: one.neighbours == {again.id})
        handle = one.collector.open_peer(again.id)
        assert one.collector.connections.reconnects[handle.slot] == 1
        await again.overlay.stop()


async def test_a_peer_that_lost_its_link_without_a_word_is_let_in_again() -> None:
    clock = LeapingClock()
    one, other = await listening("one", "other", clock=clock, ping_interval_s=3600, dead_peer_timeout_s=86400)
    try:
        await linked((one, other))
        clock.leap(10)  # no link that is younger than a handshake may take gives way
        for dialler, listener in ((one, other), (other, one)):
            # As after a power cut: one side has forgotten the link, the other has not noticed.
            dialler.overlay._admission._link_by_peer.clear()
            await dialler.overlay.dial(listener.address)
            await until(lambda: one.neighbours == {other.id} and other.neighbours == {one.id})
            clock.leap(10)
    finally:
        await stopped(one, other)


async def test_the_first_identity_met_is_pinned_and_another_is_refused(tmp_path: Path) -> None:
    first = Node("first")
    await first.overlay.start()
    address = first.overlay.listen_addresses[0]
    one = Node("one", directory=tmp_path)
    async with running(one):
        assert await one.overlay.dial(address) == first.id
        assert (tmp_path / "known_peers").read_text() == f"{address} {first.id}\n"
    await first.overlay.stop()
    second = Node("second", listen=(address,))
    one = Node("one", directory=tmp_path, peers=(address,))
    async with running(second, one):
        await until(lambda: bool(one.told(EventKind.IDENTITY_CHANGED)))
        [text, *_] = one.told(EventKind.IDENTITY_CHANGED)
        assert first.id in text
        assert second.id in text
        with pytest.raises(LinkIdentityError, match="known_peers") as caught:
            await one.overlay.dial(address)
        assert caught.value.cause == "identity_changed"
        assert second.neighbours == set()
        errors = one.collector.connections.statistics(now_mono_s=0).errors
        assert errors["identity_mismatch"] >= 2


async def test_a_named_identity_needs_no_pin(tmp_path: Path) -> None:
    one, other = Node("one", directory=tmp_path), Node("other")
    async with running(one, other):
        await one.overlay.dial(other.address)
        assert not (tmp_path / "known_peers").exists()


async def test_dialling_the_wrong_identity_network_or_nobody_says_which() -> None:
    one, other, foreign = Node("one"), Node("other"), Node("foreign", network="elsewhere")
    async with running(one, other, foreign):
        address = other.overlay.listen_addresses[0]
        with pytest.raises(LinkIdentityError, match=r"expected 12D3KooW.*, found 12D3KooW"):
            await one.overlay.dial(f"{foreign.id}@{address}")
        with pytest.raises(RemoteFault, match="it is in network 'elsewhere', this node in 'testnet'"):
            await one.overlay.dial(foreign.address)
        with pytest.raises(LinkRefusedError, match="dialled itself"):
            await one.overlay.dial(one.overlay.listen_addresses[0])
        with pytest.raises(ConfigError):
            await one.overlay.dial("nowhere")
        with pytest.raises(PeerUnreachableError):
            await one.overlay.dial("a..b:8000")
        with pytest.raises(PeerUnreachableError):
            await one.overlay.dial("no-such-host.invalid:8000")
    with pytest.raises(PeerUnreachableError):
        async with running(one := Node("one")):
            await one.overlay.dial(address)


async def test_a_banned_peer_is_cut_off_and_stays_out_over_a_restart(tmp_path: Path) -> None:
    one, bad = Node("one", directory=tmp_path), Node("bad", peers=())
    async with running(one, bad):
        await linked((bad, one))
        one.overlay.ban("bad" if one.overlay.peers()[0].name else bad.id, reason="rude", duration_s=3600)
        await until(lambda: not one.neighbours and not bad.neighbours)
        with pytest.raises(LinkRefusedError, match="banned") as caught:
            await bad.overlay.dial(one.address)
        assert caught.value.reason is GoodbyeReason.BANNED
        [peer] = one.overlay.peers()
        assert peer.state is PeerState.BANNED
        one.overlay.update_gauges()
        assert one.collector.connections.gauges.banned == 1
    one = Node("one", directory=tmp_path, identity=one.identity)
    bad = Node("bad", identity=bad.identity)
    async with running(one, bad):
        [ban] = one.overlay.bans()
        assert (ban.subject, ban.reason) == (bad.id, "rude")
        with pytest.raises(LinkRefusedError):
            await bad.overlay.dial(one.address)
        with pytest.raises(LinkRefusedError, match="banned"):
            await one.overlay.dial(bad.address)
        one.overlay.unban(bad.id)
        assert one.overlay.bans() == []
        await linked((bad, one))
        with pytest.raises(NotFoundError, match="is not banned"):
            one.overlay.unban(bad.id)


async def test_a_ban_that_cannot_be_written_holds_until_the_node_stops_and_says_so(tmp_path: Path) -> None:
    one, bad = Node("one", directory=tmp_path), Node("bad", peers=())
    async with running(one, bad):
        await linked((bad, one))
        (tmp_path / "bans.json" / "in the way").mkdir(parents=True)
        with pytest.raises(DataDirectoryError, match="the change holds until the node stops"):
            one.overlay.ban(bad.id, reason="rude")
        await until(lambda: not one.neighbours and not bad.neighbours)
        assert [ban.subject for ban in one.overlay.bans()] == [bad.id]
        assert one.overlay.peers()[0].state is PeerState.BANNED
        with pytest.raises(DataDirectoryError, match="the change holds until the node stops"):
            one.overlay.unban(bad.id)
        assert one.overlay.bans() == []
        await linked((bad, one))


@pytest.mark.parametrize("by", ["name", "alias", "prefix", "address", "host", "id"])
async def test_a_ban_is_visible_and_lifted_by_any_name_after_a_restart(tmp_path: Path, by: str) -> None:
    one, bad = Node("one", directory=tmp_path), Node("bad")
    async with running(one, bad):
        await linked((one, bad))
        await until(lambda: [peer.name for peer in one.overlay.peers()] == ["bad"])
        one.overlay.alias("bad", "villain")
        one.overlay.ban("bad", reason="flood", duration_s=600)
        await until(lambda: not one.neighbours)
        address = bad.overlay.listen_addresses[0]
    one = Node("one", directory=tmp_path, identity=one.identity)
    async with running(one):
        [peer] = one.overlay.peers()
        assert (peer.id, peer.name, peer.alias) == (bad.id, "bad", "villain")
        assert (peer.state, peer.address) == (PeerState.BANNED, address)
        assert peer.handle.labels.state == "banned"
        assert one.overlay.resolve("bad") == bad.id
        [ban] = one.overlay.bans()
        assert (ban.name, ban.address, ban.reason) == ("bad", address, "flood")
        words = {
            "name": "bad",
            "alias": "villain",
            "prefix": bad.id[:16],
            "address": address,
            "host": "127.0.0.1",
            "id": bad.id,
        }
        one.overlay.unban(words[by])
        assert one.overlay.bans() == []
        assert peer.state is PeerState.KNOWN
    assert Node("one", directory=tmp_path, identity=one.identity).overlay.bans() == []


@pytest.mark.parametrize("act", ["banned", "removed"])
async def test_what_an_operator_means_to_do_is_no_error(act: str) -> None:
    one, bad = Node("one"), Node("bad")
    async with running(one, bad):
        await linked((one, bad))
        await until(lambda: all(node.told(EventKind.JOINED) for node in (one, bad)))
        await until(lambda: all(node.overlay.peers()[0].name for node in (one, bad)))
        if act == "banned":
            one.overlay.ban(bad.id)
        else:
            one.overlay.remove(bad.id)
        await until(lambda: all(node.told(EventKind.PARTITION) for node in (one, bad)))
        for node, severity, words in (
            (one, "info", f"ended here: {act}"),
            (bad, "warning", f"peer one ended the link: {act}"),
        ):
            events = {event.kind: event for event in node.events.since(0)}
            down, lost = events[EventKind.LINK_DOWN], events[EventKind.PARTITION]
            assert (down.severity, down.text) == (severity, words)
            assert (lost.severity, lost.text) == (severity, f"can no longer be reached; {words}")
    assert "error" not in {event.severity for node in (one, bad) for event in node.events.since(0)}


async def test_a_ban_that_has_ended_is_no_longer_shown() -> None:
    clock = LeapingClock()
    one, bad = Node("one", clock=clock), Node("bad")
    async with running(one, bad):
        await linked((one, bad))
        one.overlay.ban(bad.id, duration_s=60)
        [peer] = one.overlay.peers()
        await until(lambda: peer.state is PeerState.BANNED)
        clock.leap(61)
        await until(lambda: peer.state is PeerState.KNOWN)


async def test_bans_neither_fill_the_table_nor_need_a_place_in_it(tmp_path: Path) -> None:
    one, bad, good = Node("one", directory=tmp_path, max_known_peers=1), Node("bad"), Node("good")
    async with running(one, bad, good):
        one.overlay.ban(bad.id)
        await linked((one, good))
        assert [peer.id for peer in one.overlay.peers()] == [good.id]
        assert [ban.subject for ban in one.overlay.bans()] == [bad.id]
        one.overlay.unban(bad.id[:20])
        assert one.overlay.bans() == []


async def test_a_banned_address_is_closed_before_tls() -> None:
    one, other = Node("one"), Node("other")
    async with running(one, other):
        one.overlay.ban("127.0.0.1")
        with pytest.raises(PeerUnreachableError):
            await other.overlay.dial(one.address)
        one.overlay.unban("127.0.0.1")
        await linked((other, one))


@pytest.mark.parametrize("by", ["id", "host"])
async def test_where_a_banned_node_is_nobody_is_told(by: str) -> None:
    one, bad = Node("one", discovery=True), Node("bad")
    async with running(one, bad):
        await linked((one, bad))
        book = one.overlay._finder._book
        assert len(book) == 1
        one.overlay.ban(bad.id if by == "id" else "127.0.0.1")
        assert len(book) == 0
        await until(lambda: not one.neighbours)
        assert len(book) == 0


async def test_a_banned_address_is_refused_under_any_name() -> None:
    one, other = Node("one"), Node("other")
    async with running(one, other):
        one.overlay.ban("127.0.0.1")
        port = other.overlay.listen_addresses[0].rpartition(":")[2]
        with pytest.raises(LinkRefusedError, match="banned") as caught:
            await one.overlay.dial(f"{other.id}@localhost:{port}")
        assert caught.value.reason is GoodbyeReason.BANNED
        assert not one.neighbours
        await until(lambda: not other.neighbours)


@pytest.mark.parametrize("by", ["id", "host"])
async def test_who_is_banned_is_not_even_called(by: str) -> None:
    one, bad = Node("one"), Identity.generate()
    async with running(one):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = f"127.0.0.1:{listener.getsockname()[1]}"
            one.overlay.ban(bad.peer_id if by == "id" else "127.0.0.1")
            with pytest.raises(LinkRefusedError, match="banned"):
                await one.overlay.dial(f"{bad.peer_id}@{address}")
            listener.setblocking(False)
            with pytest.raises(BlockingIOError):
                listener.accept()


async def test_links_in_total_and_from_one_address_are_limited() -> None:
    one = Node("one", max_links=1)
    few = Node("few", max_links_per_address=1)
    first, second = Node("first"), Node("second")
    async with running(one, few, first, second):
        await linked((first, one))
        with pytest.raises(LinkRefusedError, match="1 links are the limit") as caught:
            await second.overlay.dial(one.address)
        assert caught.value.reason is GoodbyeReason.FULL
        await linked((first, few))
        with pytest.raises(PeerUnreachableError):
            await second.overlay.dial(few.address)
        assert one.collector.connections.statistics(now_mono_s=0).errors == {"refused_full": 1}


async def test_handshakes_at_once_are_limited() -> None:
    one, other = Node("one", max_pending_links=2, handshake_timeout_s=3600), Node("other")
    async with running(one, other):
        host, _, port = one.overlay.listen_addresses[0].rpartition(":")
        silent = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
        await until(lambda: one.overlay._admission.pending_count == 2)
        with pytest.raises(PeerUnreachableError):
            await other.overlay.dial(one.address)
        for _, writer in silent:
            writer.close()
        await until(lambda: one.overlay._admission.pending_count == 0)
        await linked((other, one))


async def test_an_added_peer_is_kept_over_a_restart_until_it_is_removed(tmp_path: Path) -> None:
    other = Node("other")
    async with running(other):
        one = Node("one", directory=tmp_path)
        async with running(one):
            assert one.overlay.add(other.address)
            assert not one.overlay.add(other.address)
            await until(lambda: one.neighbours == {other.id})
        one = Node("one", directory=tmp_path, identity=one.identity)
        async with running(one):
            await until(lambda: one.neighbours == {other.id})
            one.overlay.remove(other.id)
            await until(lambda: not one.neighbours and not other.neighbours)
            with pytest.raises(NotFoundError):
                one.overlay.remove("nobody")
        one = Node("one", directory=tmp_path, identity=one.identity)
        async with running(one):
            await asyncio.sleep(0.2)
            assert one.neighbours == set()


async def test_an_address_that_was_never_reached_is_visible() -> None:
    one, other, stranger = (
        Node("one", reconnect_min_s=60, reconnect_max_s=60),
        Node("other"),
        Node("stranger"),
    )
    async with running(one, other, stranger):
        one.overlay.add(f"{stranger.id}@{other.overlay.listen_addresses[0]}")
        one.overlay.add("127.0.0.1:1")
        assert [(dial.attempts, dial.state) for dial in one.overlay.dials()] == [(0, "connecting")] * 2
        await until(lambda: all(dial.state == "backoff" for dial in one.overlay.dials()))
        wrong, silent = dial_maps(one.overlay.dials(), time.monotonic())
        assert (wrong["peer"], wrong["attempts"]) == (stranger.id, 1)
        assert f"found {other.id}" in str(wrong["last_error"])
        assert (silent["address"], silent["peer"], silent["state"]) == ("127.0.0.1:1", None, "backoff")
        assert 0 < float(str(silent["next_dial_s"])) <= 60
        one.overlay.remove("127.0.0.1:1")
        one.overlay.add(stranger.address)
        await until(lambda: one.neighbours == {stranger.id})
        assert one.overlay.dials() == []  # the peer is linked, by whichever address


async def test_a_target_is_dialled_again_when_its_link_ends_and_says_why() -> None:
    one, other = Node("one", reconnect_min_s=60, reconnect_max_s=60), Node("other")
    async with running(one, other):
        one.overlay.add(other.overlay.listen_addresses[0])
        await until(lambda: one.neighbours == {other.id})
        assert one.overlay.dials() == []
        other.overlay.ban(one.id)
        await until(lambda: [dial.state for dial in one.overlay.dials()] == ["backoff"])
        [dial] = dial_maps(one.overlay.dials(), time.monotonic())
        assert (dial["peer"], dial["attempts"]) == (other.id, 0)
        assert "banned" in str(dial["last_error"])


async def test_the_last_error_is_kept_whole() -> None:
    one, other = Node("one", network="n" * 64), Node("other", network="o" * 64)
    async with running(one, other):
        one.overlay.add(other.overlay.listen_addresses[0])
        await until(lambda: [dial.state for dial in one.overlay.dials()] == ["backoff"])
        [dial] = dial_maps(one.overlay.dials(), time.monotonic())
        assert "n" * 64 in str(dial["last_error"])
        assert "o" * 64 in str(dial["last_error"])


async def test_our_own_address_is_not_added() -> None:
    one = Node("one", listen=("127.0.0.1:0", "0.0.0.0:0"), advertise=("node.example:8000",))
    async with running(one):
        port, open_port = (address.rpartition(":")[2] for address in one.overlay.listen_addresses)
        for address in (
            f"127.0.0.1:{port}",
            f"localhost:{port}",
            f"0.0.0.0:{port}",
            f"127.0.0.9:{open_port}",
            f"localhost:{open_port}",
            "Node.Example:8000",
            f"{one.id}@192.0.2.1:8000",
        ):
            with pytest.raises(ConfigError, match="is this node itself"):
                one.overlay.add(address)
        assert one.overlay._dialer.targets == []
        assert one.overlay.add("192.0.2.1:8000")


@pytest.mark.parametrize("source", ["file", "file, with another id", "settings"])
async def test_an_address_found_to_be_ourselves_is_dropped_for_good(tmp_path: Path, source: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    named = f"{Identity.generate().peer_id}@{address}" if source.endswith("id") else address
    kept: list[JsonValue] = [] if source == "settings" else [named, "192.0.2.1:1"]
    write_json(tmp_path / "peers.json", {"schema": "qudag.peers/1", "peers": kept})
    peers = (named,) if source == "settings" else ()
    one = Node("one", directory=tmp_path, listen=(address,), peers=peers)
    async with running(one):
        await until(lambda: bool(one.told(EventKind.PEER_REMOVED)))
        await asyncio.sleep(0.3)  # longer than any further dial would take
        assert one.told(EventKind.PEER_REMOVED) == ["is this node itself: no link to it is kept any more"]
        assert one.told(EventKind.IDENTITY_CHANGED) == []
        assert [event.subject for event in one.events.since(0) if event.kind is EventKind.PEER_REMOVED] == [
            address
        ]
        assert address not in {str(target.peer.endpoint) for target in one.overlay._dialer.targets}
    assert [str(peer) for peer in read_added_peers(tmp_path / "peers.json")] == kept[1:]


async def test_a_peer_that_was_never_reached_can_be_removed_by_its_address() -> None:
    one = Node("one")
    async with running(one):
        one.overlay.add("127.0.0.1:1")
        await until(lambda: bool(one.told(EventKind.DIAL_FAILED)))
        one.overlay.remove("127.0.0.1:1")
        with pytest.raises(NotFoundError):
            one.overlay.remove("127.0.0.1:1")


async def test_an_alias_is_kept_and_found(tmp_path: Path) -> None:
    one, other = Node("one", directory=tmp_path), Node("other")
    async with running(one, other):
        await linked((one, other))
        one.overlay.alias(other.id, "bob")
        assert one.overlay.resolve("bob") == other.id
        with pytest.raises(PeerRefusedError, match="is not 1 to 63 letters"):
            one.overlay.alias("bob", "b\x1bob")
    one = Node("one", directory=tmp_path)
    assert one.overlay.resolve("bob") == other.id


@pytest.mark.parametrize("name", ["bans.json", "known_peers", "peers.json", "aliases.json", "routing.json"])
@pytest.mark.parametrize("content", ["garbage", '{"schema": "other/1"}', '["a", 1]'])
async def test_a_damaged_file_is_one_line_that_names_it(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataDirectoryError, match=name) as caught:
        Node("one", directory=tmp_path)
    assert "\n" not in str(caught.value)


async def test_the_sequence_of_adverts_survives_a_restart(tmp_path: Path) -> None:
    one, other = Node("one", directory=tmp_path), Node("other")
    async with running(one, other):
        await linked((one, other))
    assert '"advert_sequence"' in (tmp_path / "routing.json").read_text()
    again = Node("one", directory=tmp_path, identity=one.identity)
    assert again.overlay._link_state.sequence == one.overlay._link_state.sequence > 0
