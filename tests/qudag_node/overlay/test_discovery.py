from __future__ import annotations

from ipaddress import ip_address
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.overlay.discovery import (
    MAX_TOLD,
    Exchange,
    ExchangeRefusal,
    PeerAddress,
    PeerBook,
    PeersFrame,
    Scope,
    decode_peers,
    encode_ask,
    encode_tell,
    scope_of,
)
from qudag_node.overlay.frames import FrameDecoder, FrameType, RemoteFault

_PORTS_OF_A_HOST = 32
OWN, TELLER = bytes(32), b"\xff" * 32
LOOPBACK, PRIVATE, GLOBAL = "127.0.0.1", "10.1.2.3", "8.8.8.8"


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def address(number: int, host: str = GLOBAL, port: int | None = None) -> PeerAddress:
    return PeerAddress(key(number), host, 8000 + number if port is None else port)


def host_of(number: int) -> str:
    return str(ip_address(0x08080000 + number))


def payload_of(frame: bytes) -> bytes:
    [(kind, payload)] = FrameDecoder().feed(frame)
    assert kind is FrameType.PEERS
    return payload


hosts = st.ip_addresses().filter(lambda ip: getattr(ip, "ipv4_mapped", None) is None).map(str)
addresses = st.builds(PeerAddress, st.binary(min_size=32, max_size=32), hosts, st.integers(0, 65535))


@given(told=st.lists(addresses, max_size=MAX_TOLD))
def test_what_is_told_survives_the_wire(told: list[PeerAddress]) -> None:
    assert decode_peers(payload_of(encode_tell(told))) == PeersFrame(False, tuple(told))


def test_an_ask_survives_the_wire() -> None:
    assert decode_peers(payload_of(encode_ask())) == PeersFrame(True)


@given(garbage=st.binary(max_size=200))
def test_garbage_is_refused_or_read_within_its_bounds(garbage: bytes) -> None:
    for payload in (garbage, b"\2\2" + garbage):
        try:
            frame = decode_peers(payload)
        except RemoteFault as fault:
            assert fault.cause == "peers_malformed"
        else:
            assert len(frame.addresses) <= MAX_TOLD


@pytest.mark.parametrize(
    "payload",
    [b"", b"\0\0", b"\3\0", b"\1\1" + bytes(39), b"\2\x21", b"\2\1", b"\2\1" + bytes(34) + b"\5" + bytes(5)],
    ids=["empty", "kind 0", "kind 3", "ask with addresses", "33 told", "cut short", "five bytes of IP"],
)
def test_a_malformed_frame_is_refused(payload: bytes) -> None:
    with pytest.raises(RemoteFault):
        decode_peers(payload)


def test_bytes_after_the_last_address_are_refused() -> None:
    with pytest.raises(RemoteFault, match="too many"):
        decode_peers(payload_of(encode_tell([address(1)])) + b"\0")


def test_more_than_fit_are_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="at most 32"):
        encode_tell([address(n) for n in range(33)])


@pytest.mark.parametrize(
    ("host", "scope"),
    [
        ("127.77.0.3", Scope.LOOPBACK),
        ("::1", Scope.LOOPBACK),
        ("::ffff:127.0.0.1", Scope.LOOPBACK),
        ("10.0.0.1", Scope.PRIVATE),
        ("192.168.1.1", Scope.PRIVATE),
        ("198.18.0.7", Scope.PRIVATE),
        ("100.64.0.1", Scope.PRIVATE),
        ("fd00::1", Scope.PRIVATE),
        ("::ffff:10.0.0.1", Scope.PRIVATE),
        ("8.8.8.8", Scope.GLOBAL),
        ("2a00:1450::1", Scope.GLOBAL),
        ("0.0.0.0", None),
        ("0.1.2.3", None),
        ("::", None),
        ("224.0.0.1", None),
        ("ff02::1", None),
        ("169.254.1.1", None),
        ("fe80::1", None),
        ("240.0.0.1", None),
        ("255.255.255.255", None),
        ("64:ff9b::7f00:1", None),
        ("2002:7f00:1::", None),
        ("localhost", None),
        ("", None),
    ],
)
def test_how_far_an_address_reaches(host: str, scope: Scope | None) -> None:
    assert scope_of(host) is scope


@pytest.mark.parametrize(
    ("teller", "believed"),
    [
        (LOOPBACK, {LOOPBACK, PRIVATE, GLOBAL}),
        (PRIVATE, {PRIVATE, GLOBAL}),
        (GLOBAL, {GLOBAL}),
        ("fe80::1", set[str]()),
    ],
)
def test_nobody_outside_can_point_us_at_the_inside(teller: str, believed: set[str]) -> None:
    for host in (LOOPBACK, PRIVATE, GLOBAL, "224.0.0.1", "0.0.0.0"):
        book = PeerBook(OWN)
        learned = book.learn([address(1, host)], source=TELLER, source_host=teller)
        assert (learned == 1) == (host in believed) == (len(book) == 1)


def test_neither_ourselves_nor_port_0_nor_the_known_are_learned() -> None:
    book = PeerBook(OWN)
    told = [address(0), address(1, port=0), address(2), address(2)]
    assert book.learn(told, source=TELLER, source_host=GLOBAL) == 1
    assert book.candidates(Random(1), 9, exclude=()) == [address(2)]


def test_one_key_cannot_name_many_victims_nor_many_ports_of_one() -> None:
    book = PeerBook(OWN)
    victims = [PeerAddress(key(1), host_of(n), 8000) for n in range(20)]
    assert book.learn(victims, source=TELLER, source_host=GLOBAL) == 4
    ports = [address(n) for n in range(100, 200)]
    assert book.learn(ports, source=TELLER, source_host=GLOBAL) == 32


def told_by(source: int, count: int) -> list[PeerAddress]:
    return [address(1000 * source + n, host_of(1000 * source + n)) for n in range(count)]


def test_one_teller_fills_a_quarter_at_most() -> None:
    book = PeerBook(OWN, capacity=40)
    assert book.learn(told_by(1, 30), source=key(1), source_host=GLOBAL) == 10
    assert book.learn(told_by(2, 5), source=key(2), source_host=GLOBAL) == 5


def test_a_full_book_forgets_the_tales_of_the_biggest_teller_and_never_what_is_proved() -> None:
    book = PeerBook(OWN, capacity=10, max_per_source=10)
    proved = address(5000, host_of(5000))
    book.prove(proved)
    book.learn(told_by(1, 7), source=key(1), source_host=GLOBAL)
    book.learn(told_by(2, 2), source=key(2), source_host=GLOBAL)
    assert len(book) == 10
    assert book.learn(told_by(3, 3), source=key(3), source_host=GLOBAL) == 3
    held = set(book.candidates(Random(1), 99, exclude=()))
    assert len(held) == 10
    assert proved in held
    assert len(held & set(told_by(1, 7))) == 4
    assert held >= set(told_by(2, 2)) | set(told_by(3, 3))


def test_a_book_full_of_proved_addresses_learns_no_tales_but_proves_on() -> None:
    book = PeerBook(OWN, capacity=2)
    for number in (1, 2, 3):
        book.prove(address(number))
    assert book.learn([address(9)], source=TELLER, source_host=GLOBAL) == 0
    assert set(book.candidates(Random(1), 9, exclude=())) == {address(2), address(3)}


def test_what_cannot_be_dialled_is_not_proved() -> None:
    book = PeerBook(OWN)
    for unusable in (address(0), address(1, "0.0.0.0"), address(1, port=0), address(1, "localhost")):
        book.prove(unusable)
    assert len(book) == 0


def test_candidates_are_one_for_each_node_and_spread_over_the_tellers() -> None:
    book = PeerBook(OWN, max_per_source=100)
    book.learn(told_by(1, 50), source=key(1), source_host=GLOBAL)
    book.learn(told_by(2, 2), source=key(2), source_host=GLOBAL)
    book.learn([PeerAddress(told_by(2, 1)[0].key, host_of(9999), 1)], source=key(2), source_host=GLOBAL)
    chosen = book.candidates(Random(7), 6, exclude=())
    assert len({peer.key for peer in chosen}) == len(chosen) == 6
    assert sum(peer.key in {other.key for other in told_by(2, 2)} for peer in chosen) == 2


def test_excluded_nodes_are_no_candidates() -> None:
    book = PeerBook(OWN)
    book.prove(address(1))
    book.prove(address(2))
    assert book.candidates(Random(1), 9, exclude={key(1)}) == [address(2)]


def test_an_address_that_fails_comes_last_and_is_forgotten_after_three_times() -> None:
    book = PeerBook(OWN)
    book.prove(address(1))
    book.prove(address(2))
    book.note_failure(address(1))
    assert book.candidates(Random(1), 9, exclude=()) == [address(2), address(1)]
    assert book.tell(Random(1), to_key=TELLER, to_host=GLOBAL) == [address(2)]
    book.note_failure(address(1))
    book.note_failure(address(1))
    book.note_failure(address(1))
    assert book.candidates(Random(1), 9, exclude=()) == [address(2)]


def test_success_makes_up_for_failures() -> None:
    book = PeerBook(OWN)
    book.prove(address(1))
    for _ in range(10):
        book.note_failure(address(1), forget_after=2)
        book.prove(address(1))
    assert len(book) == 1


def test_a_banned_node_is_forgotten() -> None:
    book = PeerBook(OWN)
    book.prove(address(1))
    book.prove(address(1, port=9))
    book.prove(address(2))
    book.forget(key=key(1))
    assert book.candidates(Random(1), 9, exclude=()) == [address(2)]
    book.forget(host=address(2).host)
    assert len(book) == 0


def test_only_what_is_proved_is_told_and_only_where_it_means_something() -> None:
    book = PeerBook(OWN)
    inside, outside = address(1, PRIVATE), address(2, GLOBAL)
    book.prove(inside)
    book.prove(outside)
    book.prove(address(3, LOOPBACK))
    book.learn([address(4)], source=TELLER, source_host=GLOBAL)
    assert set(book.tell(Random(1), to_key=TELLER, to_host=GLOBAL)) == {outside}
    assert set(book.tell(Random(1), to_key=TELLER, to_host=PRIVATE)) == {inside, outside}
    assert len(book.tell(Random(1), to_key=TELLER, to_host=LOOPBACK)) == 3
    assert book.tell(Random(1), to_key=key(2), to_host=GLOBAL) == []
    assert book.tell(Random(1), to_key=TELLER, to_host="fe80::1") == []


def test_at_most_32_addresses_are_told() -> None:
    book = PeerBook(OWN)
    for number in range(1, 100):
        book.prove(address(number, host_of(number)))
    told = book.tell(Random(1), to_key=TELLER, to_host=GLOBAL)
    assert len(set(told)) == 32
    assert decode_peers(payload_of(encode_tell(told))).addresses == tuple(told)


acts = st.tuples(st.sampled_from(["learn", "prove", "fail", "forget"]), st.integers(1, 30), st.integers(1, 4))


@given(history=st.lists(acts, max_size=80))
def test_the_book_stays_within_its_capacity(history: list[tuple[str, int, int]]) -> None:
    book = PeerBook(OWN, capacity=8, max_per_source=4)
    for act, number, source in history:
        peer = address(number, host_of(number % 7))
        match act:
            case "learn":
                book.learn([peer], source=key(900 + source), source_host=GLOBAL)
            case "prove":
                book.prove(peer)
            case "fail":
                book.note_failure(peer)
            case _:
                book.forget(key=peer.key)
        assert len(book) <= 8
        assert len(book.candidates(Random(1), 99, exclude=())) <= len(book)


def test_an_exchange_answers_and_believes_in_measure() -> None:
    exchange = Exchange(interval_s=30.0, now_mono_s=0.0)
    ask, tell = PeersFrame(True), PeersFrame(False)
    assert exchange.judge(tell, 0.0) is ExchangeRefusal.UNASKED
    assert decode_peers(payload_of(exchange.ask())) == ask
    assert exchange.judge(tell, 0.1) is None
    assert exchange.judge(tell, 0.2) is ExchangeRefusal.UNASKED
    verdicts = [exchange.judge(ask, 0.3) for _ in range(3)]
    assert verdicts == [None, None, ExchangeRefusal.RATE]
    assert exchange.judge(ask, 15.4) is None


def test_a_book_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="capacity"):
        PeerBook(OWN, capacity=0)


def test_a_host_with_many_identities_takes_room_from_itself_only() -> None:
    book = PeerBook(OWN, capacity=200)
    good = [address(number, host_of(number)) for number in range(1, 101)]
    bad = [address(1000 + number, "8.9.9.9", port=1 + number) for number in range(500)]
    for each in (*good, *bad):
        book.prove(each)
    assert len(book) == len(good) + _PORTS_OF_A_HOST
    kept = set(book.candidates(Random(1), 1000, exclude=()))
    assert kept == {*good, *bad[-_PORTS_OF_A_HOST:]}
