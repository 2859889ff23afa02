"""The frames are a protocol: documented whole, and frozen in golden files."""

from __future__ import annotations

import re

import pytest
from syrupy.assertion import SnapshotAssertion

from qudag_node.overlay import advert, frames, routed, vertices
from qudag_node.overlay.discovery import ExchangeRefusal, PeerAddress, encode_ask, encode_tell
from qudag_node.overlay.flood import Refusal
from qudag_node.overlay.frames import (
    FRAME_NAMES,
    FrameType,
    Goodbye,
    GoodbyeReason,
    Ping,
    Pong,
    encode_frame,
    encode_goodbye,
    encode_ping,
    encode_pong,
    encode_seed,
)
from qudag_node.overlay.lsdb import Outcome
from qudag_node.overlay.queue import DropCause
from qudag_node.overlay.ratelimit import RefusalCause
from qudag_node.overlay.routed import PLAIN_KINDS, TEST_KINDS, RoutedKind
from qudag_node.overlay.testframes import PortDropCause, Subtype, encode_test
from qudag_node.overlay.trace import TraceBody, TraceReason, encode_trace_body
from tests.conftest import REPO
from tests.qudag_node.overlay.keys import signer_of
from tests.snapshots import FrameSnapshot

TEXT = (REPO / "docs" / "link-protocol.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", TEXT, flags=re.MULTILINE | re.DOTALL))
OVERLAY = REPO / "qudag_node" / "overlay"


def test_every_frame_has_a_section_and_a_row() -> None:
    assert list(SECTIONS) == [kind.name for kind in FrameType]
    assert re.findall(r"^\| (\d+) \| ([A-Z]+) \|", TEXT, flags=re.MULTILINE) == [
        (str(int(kind)), kind.name) for kind in FrameType
    ]


def test_every_field_says_since_when_it_is_there() -> None:
    for name, section in SECTIONS.items():
        rows = [line for line in section.splitlines() if line.startswith("|")]
        assert rows, name
        heads = [number for number, row in enumerate(rows[1:]) if set(row) <= set("|-")]
        assert heads[:1] == [0], name
        for number, row in enumerate(rows):
            if number in heads:
                assert row.endswith("| since |"), name
            elif number - 1 not in heads:
                assert re.search(r"\| \d+ \|$", row), f"{name}: {row}"


@pytest.mark.parametrize("reason", GoodbyeReason, ids=lambda reason: reason.name)
def test_every_goodbye_reason_is_listed(reason: GoodbyeReason) -> None:
    assert f"{int(reason)} {reason.name}" in SECTIONS["GOODBYE"]


@pytest.mark.parametrize("label", [vertices.LABEL, advert.LABEL, routed.LABEL])
def test_every_label_is_listed_and_ends_in_a_zero_byte(label: bytes) -> None:
    assert label.endswith(b"\0")
    assert f"`{label[:-1].decode()}\\0`" in TEXT


@pytest.mark.parametrize("kind", RoutedKind, ids=lambda kind: kind.name)
def test_every_kind_of_an_envelope_is_listed_with_its_frame(kind: RoutedKind) -> None:
    words = kind.name.lower().replace("_", " ")
    assert (f"| {int(kind)} | {words} |" in SECTIONS["TEST"]) == (kind in TEST_KINDS)
    assert (f"{int(kind)} {words}" in SECTIONS["ROUTED"]) == (kind in PLAIN_KINDS)


@pytest.mark.parametrize("reason", TraceReason, ids=lambda reason: reason.name)
def test_every_reason_of_a_trace_is_listed(reason: TraceReason) -> None:
    words = {TraceReason.TTL: "the ttl ended"}.get(reason, reason.name.lower().replace("_", " "))
    assert f"{int(reason)} {words}" in SECTIONS["TEST"]


def test_every_cause_is_listed() -> None:
    raised = {
        cause
        for path in OVERLAY.glob("*.py")
        for cause in re.findall(
            r"(?:RemoteFault|LinkIdentityError)\(\s*\"(\w+)\"", path.read_text(encoding="utf-8")
        )
    }
    dropped = {
        *(cause for cause in Outcome if cause in {Outcome.RATE, Outcome.FULL}),
        *DropCause,
        *RefusalCause,
        *ExchangeRefusal,
        *(cause for cause in routed.DropCause if cause is not routed.DropCause.PENDING_FULL),
        *PortDropCause,
        Refusal.STALE,
    }
    listed = set(re.findall(r"`(\w+)`", TEXT))
    assert {cause for cause in raised | set(map(str, dropped)) if cause not in listed} == set()


def key(number: int) -> bytes:
    return signer_of(number).public_key


EXAMPLES = {
    "ping": encode_ping(Ping(nonce=1, sender_mono_ns=123_456_789)),
    "pong": encode_pong(
        Pong(
            nonce=1,
            sender_mono_ns=123_456_789,
            wall_unix_ns=1_700_000_000_000_000_000,
            received_messages=42,
            received_bytes=4_200,
        )
    ),
    "data": encode_frame(
        FrameType.DATA,
        vertices.sign_vertex(
            signer_of(1), b"payload", [bytes(32), b"\1" * 32], origin_unix_ns=1_700_000_000_000_000_000
        ).encoded,
    ),
    "advert": encode_frame(
        FrameType.ADVERT,
        advert.sign_advert(
            signer_of(1),
            {key(2): 20_000, key(3): 1},
            sequence=1_700_000_000_000,
            name="peer1",
            lifetime_s=120,
            is_leaf=True,
        ).encoded,
    ),
    "peers-ask": encode_ask(),
    "peers-tell": encode_tell(
        [PeerAddress(key(1), "192.0.2.1", 8000), PeerAddress(key(2), "2001:db8::1", 9000)]
    ),
    "routed": encode_frame(
        FrameType.ROUTED,
        routed.sign_routed(
            signer_of(1), key(2), b"body", kind=RoutedKind.MESSAGE, identity=bytes(range(16)), ttl=17
        ),
    ),
    "seed": encode_seed(bytes(range(32))),
    "goodbye": encode_goodbye(Goodbye(GoodbyeReason.FULL, "128 links")),
    "test": encode_test(Subtype.DIRECT, b"opaque"),
    "test-routed": encode_test(
        Subtype.ENVELOPE,
        routed.sign_routed(
            signer_of(1), key(2), b"body", kind=RoutedKind.TEST, identity=bytes(range(16)), ttl=17
        ),
    ),
    "test-trace": encode_test(
        Subtype.ENVELOPE,
        routed.sign_routed(
            signer_of(1), key(2), b"", kind=RoutedKind.TRACE, identity=bytes(range(16)), ttl=1
        ),
    ),
    "test-trace-reply": encode_test(
        Subtype.ENVELOPE,
        routed.sign_routed(
            signer_of(3),
            key(1),
            encode_trace_body(
                TraceBody(TraceReason.TTL, 1, 1_700_000_000_000_000_000, 1_700_000_000_000_200_000, 200_000)
            ),
            kind=RoutedKind.TRACE_REPLY,
            identity=bytes(range(16)),
            ttl=17,
        ),
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_frames_bytes_are_frozen(name: str, snapshot: SnapshotAssertion) -> None:
    assert EXAMPLES[name] == snapshot(extension_class=FrameSnapshot)


def test_every_frame_but_the_handshakes_is_frozen() -> None:
    assert {name.partition("-")[0] for name in EXAMPLES} == set(FRAME_NAMES) - {"hello"}


def test_headers_are_what_the_drawing_says() -> None:
    assert frames.HEADER_BYTES == 5
    assert EXAMPLES["seed"][:5] == b"\x07\0\0\0\x20"
