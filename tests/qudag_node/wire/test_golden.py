"""Frames as they are on the wire. A difference here is a change of the protocol."""

from array import array

import pytest
from syrupy.assertion import SnapshotAssertion

from qudag_node.peerid import PeerId
from qudag_node.wire import (
    ClientSession,
    Credential,
    Decoder,
    ErrorCode,
    Message,
    NodeCard,
    Notification,
    Request,
    Response,
    Role,
    RpcError,
    ServerHandshake,
    encode,
    pack_column,
    pack_text,
)
from tests.snapshots import FrameSnapshot

ID = PeerId("12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq")
CARD = NodeCard(ID, "peer1", "0.1.0", "lab")
TOKEN = bytes(range(32))
SERVER_NONCE = bytes(range(32, 64))
CLIENT_NONCE = bytes(range(64, 96))
CERTIFICATE = b"a certificate in DER"

MESSAGES: dict[str, Message] = {
    "call": Request(2, "stats", []),
    "call with parameters": Request(
        3, "peer.ban", [{"peer": "peer2", "duration_s": 60.0, "reason": "flood"}]
    ),
    "submit": Request(4, "submit", [{"payloads": [b"one", b"two"]}]),
    "answer": Response(2, None, {"schema": "qudag.status/1", "pid": 4711, "uptime_s": 1.5, "role": None}),
    "refusal": Response(
        3, RpcError(ErrorCode.NOT_FOUND, "no peer is called 'peer9'", "qudag peer list").to_wire(), None
    ),
    "delta": Notification(
        "stats.delta",
        [
            {
                "stream": 1,
                "seq": 8,
                "base": 7,
                "sections": {
                    "test_traffic": {"sent": 1, "received": 2, "sent_bytes": 3, "received_bytes": 4}
                },
                "peers": {
                    "gone": pack_column("u4", array("I", [3])),
                    "rows": pack_column("u4", array("I", [1, 2])),
                    "columns": {"rtt_p50_s": pack_column("f4", array("f", [0.02, float("nan")]))},
                    "texts": {"state": pack_text(["connected", "backoff"])},
                },
            }
        ],
    ),
    "events": Notification(
        "events",
        [
            {
                "stream": 2,
                "events": [
                    {
                        "seq": 1,
                        "unix_s": 1_750_000_000.25,
                        "kind": "link-up",
                        "severity": "info",
                        "subject": ID,
                        "text": "peer2 is connected",
                    }
                ],
            }
        ],
    ),
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES.keys())
def test_encoding_is_frozen(message: Message, snapshot: SnapshotAssertion) -> None:
    assert encode(message) == snapshot(extension_class=FrameSnapshot)


def test_a_session_on_a_unix_socket_is_frozen(snapshot: SnapshotAssertion) -> None:
    client, node = ClientSession("qudag 0.1.0"), ServerHandshake(CARD, role=Role.ADMIN, nonce=SERVER_NONCE)
    hello = client.start()
    assert hello == snapshot(extension_class=FrameSnapshot, name="hello")
    (request,) = Decoder().feed(hello)
    assert isinstance(request, Request)
    assert node.receive(request) == snapshot(extension_class=FrameSnapshot, name="granted")


def test_a_session_on_tls_is_frozen(snapshot: SnapshotAssertion) -> None:
    client = ClientSession("qudag 0.1.0", TOKEN, "tls", CERTIFICATE, expected_id=ID, nonce=CLIENT_NONCE)
    node = ServerHandshake(
        CARD,
        capabilities=["stats"],
        credentials=lambda: [Credential("watcher", Role.VIEWER, TOKEN)],
        certificate_der=CERTIFICATE,
        nonce=SERVER_NONCE,
    )
    outgoing = client.start()
    for step in ("challenged", "proven"):
        (request,) = Decoder().feed(outgoing)
        assert isinstance(request, Request)
        answer = node.receive(request)
        assert answer == snapshot(extension_class=FrameSnapshot, name=step)
        client.receive(answer)
        outgoing = client.outgoing()
        if outgoing:
            assert outgoing == snapshot(extension_class=FrameSnapshot, name="authenticate")
