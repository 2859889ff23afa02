"""A session from hello to calls: both sides against each other, and each against a bad other."""

import tracemalloc
from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.peerid import PeerId
from qudag_node.wire import (
    HANDSHAKE_BYTES,
    SERVER_LIMITS,
    AuthenticationError,
    ClientSession,
    Credential,
    Decoder,
    ErrorCode,
    Event,
    Failed,
    LocalProtocolError,
    NodeCard,
    Notification,
    Notified,
    Ready,
    RemoteProtocolError,
    Reply,
    Request,
    Response,
    Role,
    RpcError,
    ServerHandshake,
    SessionState,
    client_proof,
    encode,
)
from qudag_node.wire.session import TRANSITIONS, Step

ID = PeerId("12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq")
CARD = NodeCard(ID, "peer1", "0.1.0", "lab")
TOKEN = b"t" * 32
OTHER = b"o" * 32
NONCE = b"n" * 32
CERTIFICATE = b"a certificate in DER"
CREDENTIALS = (Credential("cookie", Role.ADMIN, OTHER), Credential("watcher", Role.VIEWER, TOKEN))
HELLO = {
    "version": 1,
    "node": {"id": ID, "name": "peer1", "version": "0.1.0", "network": "lab"},
    "capabilities": [],
}
GRANTED = {**HELLO, "role": "admin", "challenge": None}
CHALLENGED = {**HELLO, "role": None, "challenge": NONCE}


def requests(data: bytes) -> list[Request]:
    found = Decoder().feed(data)
    assert all(isinstance(message, Request) for message in found)
    return [message for message in found if isinstance(message, Request)]


def unix_node() -> ServerHandshake:
    return ServerHandshake(CARD, role=Role.ADMIN, nonce=NONCE)


def tls_node(credentials: Iterable[Credential] = CREDENTIALS) -> ServerHandshake:
    return ServerHandshake(CARD, credentials=lambda: credentials, certificate_der=CERTIFICATE, nonce=NONCE)


def open_session(client: ClientSession, node: ServerHandshake) -> list[Event]:
    events: list[Event] = []
    outgoing = client.start()
    while outgoing:
        for request in requests(outgoing):
            events += client.receive(node.receive(request))
        outgoing = client.outgoing()
    return events


def ready_client() -> ClientSession:
    client = ClientSession("test")
    client.start()
    client.receive(encode(Response(0, None, GRANTED)))
    return client


def test_on_a_unix_socket_hello_grants_the_role_at_once() -> None:
    client, node = ClientSession("qudag 0.1.0"), unix_node()
    (event,) = open_session(client, node)
    assert event == Ready(GRANTED)
    assert client.hello == GRANTED
    assert client.state is node.state is SessionState.READY
    assert (node.role, node.client, node.token_name) == (Role.ADMIN, "qudag 0.1.0", "")


def test_elsewhere_both_sides_prove_that_they_know_the_token() -> None:
    client, node = ClientSession("test", TOKEN, "tls", CERTIFICATE, expected_id=ID), tls_node()
    (event,) = open_session(client, node)
    assert event == Ready({**CHALLENGED, "role": "viewer"})
    assert client.state is node.state is SessionState.READY
    assert (node.role, node.token_name) == (Role.VIEWER, "watcher")


def test_the_clients_nonce_is_new_each_time() -> None:
    sent: list[object] = []
    for _ in range(2):
        client = ClientSession("test", TOKEN, "tcp")
        client.start()
        client.receive(encode(Response(0, None, CHALLENGED)))
        (request,) = requests(client.outgoing())
        sent.append(request.params[0]["nonce"])
    assert sent[0] != sent[1]


@pytest.mark.parametrize(
    ("token", "certificate"),
    [(b"x" * 32, CERTIFICATE), (TOKEN, b"the certificate of a man in the middle"), (TOKEN, None)],
    ids=["token", "certificate", "without tls"],
)
def test_a_wrong_proof_closes_the_session_with_one_answer(token: bytes, certificate: bytes | None) -> None:
    client, node = ClientSession("test", token, "tls", certificate), tls_node()
    with pytest.raises(RpcError) as caught:
        open_session(client, node)
    assert caught.value.code is ErrorCode.UNAUTHENTICATED
    assert "qudag token add" in caught.value.hint
    assert client.state is node.state is SessionState.CLOSED
    assert node.role is None


def test_a_proof_cannot_be_used_in_another_session() -> None:
    client = ClientSession("test", TOKEN, "tls", CERTIFICATE)
    client.start()
    client.receive(encode(Response(0, None, CHALLENGED)))
    (recorded,) = requests(client.outgoing())
    node = ServerHandshake(
        CARD, credentials=lambda: CREDENTIALS, certificate_der=CERTIFICATE, nonce=b"m" * 32
    )
    node.receive(Request(0, "hello", [{"versions": [1], "client": "replay"}]))
    (answer,) = Decoder().feed(node.receive(recorded))
    assert isinstance(answer, Response)
    assert answer.error is not None
    assert node.state is SessionState.CLOSED


def test_a_token_revoked_between_hello_and_proof_is_not_known() -> None:
    valid = list(CREDENTIALS)
    client, node = ClientSession("test", TOKEN, "tls", CERTIFICATE), tls_node(valid)
    hello = node.receive(requests(client.start())[0])
    client.receive(hello)
    valid.clear()
    with pytest.raises(RpcError, match="revoked"):
        client.receive(node.receive(requests(client.outgoing())[0]))


@pytest.mark.parametrize("proof", [b"x" * 32, b"", "text", None])
def test_the_client_ends_the_session_when_the_nodes_proof_is_wrong(proof: object) -> None:
    client = ClientSession("test", TOKEN, "tls", CERTIFICATE)
    client.start()
    client.receive(encode(Response(0, None, CHALLENGED)))
    client.outgoing()
    with pytest.raises(AuthenticationError, match="could not prove"):
        client.receive(encode(Response(1, None, {"role": "admin", "proof": proof})))
    assert client.state is SessionState.CLOSED
    assert client.outgoing() == b""


def test_the_node_cannot_answer_with_the_clients_own_proof() -> None:
    client = ClientSession("test", TOKEN, "tcp")
    client.start()
    client.receive(encode(Response(0, None, CHALLENGED)))
    (request,) = requests(client.outgoing())
    with pytest.raises(AuthenticationError):
        client.receive(encode(Response(1, None, {"role": "admin", "proof": request.params[0]["proof"]})))


def test_a_node_that_closes_a_session_says_why() -> None:
    client = ClientSession("test")
    client.start()
    client.receive(encode(Response(0, None, GRANTED)))
    with pytest.raises(RpcError, match="revoked") as caught:
        client.receive(
            encode(Notification("closing", [{"code": "unauthenticated", "message": "revoked", "new": 1}]))
        )
    assert caught.value.code is ErrorCode.UNAUTHENTICATED
    assert client.state is SessionState.CLOSED
    client = ClientSession("test")
    client.start()
    client.receive(encode(Response(0, None, GRANTED)))
    with pytest.raises(RemoteProtocolError):
        client.receive(encode(Notification("closing", [])))


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_node_that_grants_a_role_without_a_proof_is_not_believed(transport: str) -> None:
    client = ClientSession("test", TOKEN, "tcp" if transport == "tcp" else "tls")
    client.start()
    with pytest.raises(AuthenticationError, match="without a proof"):
        client.receive(encode(Response(0, None, GRANTED)))


def test_without_a_token_the_client_says_how_to_give_one() -> None:
    with pytest.raises(AuthenticationError, match="--token-file"):
        open_session(ClientSession("test", None, "tls", CERTIFICATE), tls_node())


def test_another_node_than_the_expected_one_is_refused() -> None:
    expected = PeerId("12D3KooWLLFZAuusef2zws9er5e5cTziLd66EKKGiqTa6mZaJr2R")
    with pytest.raises(AuthenticationError, match=expected):
        open_session(ClientSession("test", TOKEN, "tls", CERTIFICATE, expected_id=expected), tls_node())


def test_a_challenge_on_a_unix_socket_is_answered_too() -> None:
    client, node = (
        ClientSession("test", TOKEN, "unix"),
        ServerHandshake(CARD, credentials=lambda: CREDENTIALS, nonce=NONCE),
    )
    open_session(client, node)
    assert client.state is SessionState.READY


def answer_of(node: ServerHandshake, request: Request) -> RpcError:
    (answer,) = Decoder().feed(node.receive(request))
    assert isinstance(answer, Response)
    assert answer.id == request.id
    assert answer.error is not None
    assert node.state is SessionState.CLOSED
    return RpcError.from_wire(answer.error)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ([], ErrorCode.BAD_REQUEST),
        ([{}], ErrorCode.BAD_REQUEST),
        ([{"versions": 1}], ErrorCode.BAD_REQUEST),
        ([{"versions": []}], ErrorCode.UNSUPPORTED_VERSION),
        ([{"versions": [0, 2, "1"]}], ErrorCode.UNSUPPORTED_VERSION),
    ],
)
def test_a_bad_hello_is_refused(params: list[Mapping[str, object]], code: ErrorCode) -> None:
    assert answer_of(unix_node(), Request(3, "hello", params)).code is code


def test_the_newest_common_version_is_chosen_and_unknown_fields_are_ignored() -> None:
    node = unix_node()
    params = {"versions": [99, 1, "x"], "client": 5, "later": True}
    (answer,) = Decoder().feed(node.receive(Request(0, "hello", [params])))
    assert isinstance(answer, Response)
    assert answer.result == GRANTED
    assert node.client == ""


@pytest.mark.parametrize("method", ["authenticate", "stats", "shutdown", "", "nonsense"])
def test_nothing_may_be_called_before_hello(method: str) -> None:
    assert answer_of(tls_node(), Request(1, method, [])).code is ErrorCode.UNAUTHENTICATED


@pytest.mark.parametrize("method", ["hello", "stats", "shutdown"])
def test_nothing_but_the_proof_may_follow_a_challenge(method: str) -> None:
    node = tls_node()
    node.receive(Request(0, "hello", [{"versions": [1]}]))
    assert answer_of(node, Request(1, method, [{"versions": [1]}])).code is ErrorCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    "params",
    [[], [{"proof": b"x" * 32}], [{"proof": b"x", "nonce": b"short"}], [{"proof": "x", "nonce": NONCE}]],
)
def test_a_malformed_proof_is_refused(params: list[Mapping[str, object]]) -> None:
    node = tls_node()
    node.receive(Request(0, "hello", [{"versions": [1]}]))
    assert answer_of(node, Request(1, "authenticate", params)).code is ErrorCode.BAD_REQUEST


def test_calls_may_follow_hello_at_once_on_a_unix_socket() -> None:
    client = ClientSession("test")
    stream = client.start()
    first, data = client.call("stats")
    stream += data
    second, data = client.call("peer", {"peer": "peer2"})
    stream += data
    assert [(r.id, r.method, r.params) for r in requests(stream)][1:] == [
        (first, "stats", []),
        (second, "peer", [{"peer": "peer2"}]),
    ]
    error = RpcError(ErrorCode.NOT_FOUND, "no such peer", "qudag peer list shows them")
    events = client.receive(
        encode(Response(0, None, GRANTED))
        + encode(Response(second, error.to_wire(), None))
        + encode(Notification("log", [{"stream": 1, "lines": []}]))
        + encode(Notification("log", []))
        + encode(Response(first, None, {"schema": "qudag.stats/1"}))
    )
    assert events[0] == Ready(GRANTED)
    assert isinstance(events[1], Failed)
    assert (events[1].id, events[1].error.to_wire()) == (second, error.to_wire())
    assert events[2:] == [
        Notified("log", {"stream": 1, "lines": []}),
        Notified("log", {}),
        Reply(first, {"schema": "qudag.stats/1"}),
    ]


def test_elsewhere_calls_wait_for_the_proofs() -> None:
    client = ClientSession("test", TOKEN, "tcp")
    with pytest.raises(LocalProtocolError, match="opening"):
        client.call("stats")
    client.start()
    with pytest.raises(LocalProtocolError, match="greeted"):
        client.call("stats")
    client.receive(encode(Response(0, None, CHALLENGED)))
    with pytest.raises(LocalProtocolError, match="proving"):
        client.call("stats")


def test_ids_are_not_used_twice_and_stay_within_32_bits() -> None:
    client = ready_client()
    ids = [client.call("stats")[0] for _ in range(3)]
    assert len(set(ids)) == 3
    vars(client)["_next_id"] = 2**32 - 1
    assert client.call("stats")[0] == 2**32 - 1
    for id_ in ids:
        client.receive(encode(Response(id_, None, None)))
    assert client.call("stats")[0] in ids


@pytest.mark.parametrize(
    "message",
    [
        Response(99, None, None),
        Response(1, None, None),
        Request(5, "stats", []),
        Response(2, {"code": 5, "message": "x"}, None),
        Response(2, {"code": "internal"}, None),
    ],
    ids=["unknown id", "unasked proof", "a call", "code", "no message"],
)
def test_a_node_that_breaks_the_protocol_is_dropped(message: Request | Response) -> None:
    client = ready_client()
    client.call("stats")
    with pytest.raises(RemoteProtocolError):
        client.receive(encode(message))
    assert client.state is SessionState.CLOSED
    with pytest.raises(LocalProtocolError, match="closed"):
        client.receive(b"")
    with pytest.raises(LocalProtocolError, match="closed"):
        client.call("stats")


def test_nothing_comes_before_the_answer_to_hello() -> None:
    for early in (Notification("events", []), Response(2, None, None)):
        client = ClientSession("test")
        client.start()
        client.call("stats")
        with pytest.raises(RemoteProtocolError, match="before"):
            client.receive(encode(early))


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {"version": 1},
        {"version": 1, "node": {"id": 5, "name": "x"}},
        {**HELLO},
        {**HELLO, "role": "king"},
        {**HELLO, "challenge": b"short"},
    ],
    ids=["nil", "array", "no node", "bad id", "neither", "no such role", "short challenge"],
)
def test_a_malformed_answer_to_hello_is_refused(answer: object) -> None:
    client = ClientSession("test", TOKEN)
    client.start()
    with pytest.raises(RemoteProtocolError):
        client.receive(encode(Response(0, None, answer)))


def test_a_version_that_was_not_offered_is_refused() -> None:
    client = ClientSession("test")
    client.start()
    with pytest.raises(RpcError) as caught:
        client.receive(encode(Response(0, None, {**GRANTED, "version": 2})))
    assert caught.value.code is ErrorCode.UNSUPPORTED_VERSION


def test_an_error_code_of_a_newer_node_reads_as_internal() -> None:
    client = ready_client()
    id_, _ = client.call("stats")
    (event,) = client.receive(encode(Response(id_, {"code": "tired", "message": "later"}, None)))
    assert isinstance(event, Failed)
    assert (event.error.code, str(event.error), event.error.hint) == (ErrorCode.INTERNAL, "later", "")


def test_a_session_is_started_once_and_before_it_receives() -> None:
    client = ClientSession("test")
    with pytest.raises(LocalProtocolError, match="opening"):
        client.receive(b"")
    client.start()
    with pytest.raises(LocalProtocolError, match="once"):
        client.start()


def test_the_table_names_every_state_and_ends_in_closed() -> None:
    assert set(TRANSITIONS) == set(SessionState)
    assert TRANSITIONS[SessionState.CLOSED] == {}
    for state, steps in TRANSITIONS.items():
        assert state is SessionState.CLOSED or steps[Step.REFUSAL] is SessionState.CLOSED


@given(cuts=st.lists(st.integers(1, 400), max_size=20))
def test_a_session_opens_under_any_chunking(cuts: list[int]) -> None:
    client, node = ClientSession("test", TOKEN, "tls", CERTIFICATE), tls_node()
    events: list[Event] = []
    outgoing = client.start()
    while outgoing:
        answer = b"".join(node.receive(request) for request in requests(outgoing))
        for cut in [*cuts, len(answer)]:
            events += client.receive(answer[:cut])
            answer = answer[cut:]
        outgoing = client.outgoing()
    assert [type(event) for event in events] == [Ready]


@given(garbage=st.binary(min_size=1, max_size=200))
def test_garbage_never_opens_a_session(garbage: bytes) -> None:
    client = ClientSession("test", TOKEN, "tcp")
    client.start()
    try:
        assert client.receive(garbage) == []
    except (RemoteProtocolError, AuthenticationError, RpcError):
        assert client.state is SessionState.CLOSED
    assert client.state is not SessionState.READY


def test_a_proof_is_bound_to_this_nodes_id() -> None:
    proof = client_proof(TOKEN, PeerId("another"), CERTIFICATE, NONCE, NONCE)
    node = tls_node()
    node.receive(Request(0, "hello", [{"versions": [1]}]))
    request = Request(1, "authenticate", [{"proof": proof, "nonce": NONCE}])
    assert answer_of(node, request).code is ErrorCode.UNAUTHENTICATED


def test_roles_include_the_ones_before_them() -> None:
    assert Role.ADMIN.includes(Role.OPERATOR)
    assert Role.OPERATOR.includes(Role.OPERATOR)
    assert not Role.VIEWER.includes(Role.OPERATOR)


def test_hostile_clients_leave_no_memory_behind() -> None:
    streams = [
        b"GET / HTTP/1.1\r\n",
        b"\x94\x00\x01\xdb\x7f\xff\xff\xff",
        b"\x94\x00" + b"\xdc\x01\x00" * 300,
    ]
    streams += [
        encode(Request(1, "stats", [{"x": b"y" * 900}])),
        encode(Request(1, "hello", [{"versions": []}])),
    ]

    def attack() -> None:
        for stream in streams:
            node, decoder = tls_node(), Decoder(SERVER_LIMITS)
            decoder.message_bytes = HANDSHAKE_BYTES
            try:
                for message in decoder.feed(stream):
                    assert isinstance(message, Request)
                    node.receive(message)
            except RemoteProtocolError:
                assert decoder.pending_bytes == 0
            assert node.role is None

    attack()
    tracemalloc.start()
    try:
        attack()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(200):
            attack()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 20_000
    assert peak - before < 100_000
