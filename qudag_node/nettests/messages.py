"""The bodies of control messages between two nodes' tests, as bytes. No I/O.

    0            1                   9
    +------------+-------------------+------------------------------------------------+
    | opcode u8  | request id, 8     | MessagePack                                    |
    +------------+-------------------+------------------------------------------------+

    REQUEST   1 | id | [method: text, params: map]
    RESPONSE  2 | id | [status: int, result: map when status is 0, else a line of text]

status: 0 done; 1 declined; 2 no such method; 3 failed. The id is random and comes back with the answer.
Opcodes from 3 on are for bodies without an answer; who uses one draws it: 3 ECHO, 4 ECHO_REPLY, 5 LOAD,
6 LOAD_ACK.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, cast

import msgpack

__all__ = [
    "REQUEST_ID_BYTES",
    "MalformedBodyError",
    "Opcode",
    "Request",
    "Response",
    "Status",
    "decode_request",
    "decode_response",
    "encode_request",
    "encode_response",
]

REQUEST_ID_BYTES = 8
_HEAD_BYTES = 1 + REQUEST_ID_BYTES
_MAX_REASON_CHARS = 300
_LIMITS: Mapping[str, int] = {
    "max_str_len": 4096,
    "max_bin_len": 16 * 1024,
    "max_array_len": 1024,
    "max_map_len": 256,
    "max_ext_len": 0,
}


class Opcode(IntEnum):
    """The first byte of a test message's body."""

    #: Something is asked.
    REQUEST = 1
    #: The answer.
    RESPONSE = 2
    #: To be sent back; of the ping over links and the overlay.
    ECHO = 3
    #: Sent back.
    ECHO_REPLY = 4
    #: Load of a stress test.
    LOAD = 5
    #: What has arrived of it.
    LOAD_ACK = 6


class Status(IntEnum):
    """How a request ended."""

    #: Done.
    OK = 0
    #: The node takes no part, and says why.
    DECLINED = 1
    #: The node has no such method.
    UNKNOWN = 2
    #: The node tried and could not.
    FAILED = 3
    #: As DECLINED, but for now: it is busy, or was asked too fast. Who does not know it takes it for FAILED.
    BUSY = 4


class MalformedBodyError(Exception):
    """A body that no correct node sends."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request."""

    identity: bytes
    method: str
    params: dict[str, object]


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; ``reason`` is the peer's and untrusted."""

    identity: bytes
    status: Status
    result: dict[str, Any]
    reason: str


def encode_request(request: Request) -> bytes:
    """Return the body of a request."""
    packed = cast("bytes", msgpack.packb([request.method, request.params]))
    return bytes((Opcode.REQUEST,)) + request.identity + packed


def decode_request(body: bytes) -> Request:
    """Read the body of a request.

    Raises:
        MalformedBodyError: It is none.
    """
    match _unpack(body):
        case [str(method), dict(params)] if 0 < len(method) <= 64 and _has_names(params):
            return Request(body[1:_HEAD_BYTES], method, params)
        case _:
            raise MalformedBodyError("not a method and its parameters")


def encode_response(response: Response) -> bytes:
    """Return the body of a response."""
    is_ok = response.status is Status.OK
    content: object = response.result if is_ok else response.reason[:_MAX_REASON_CHARS]
    packed = cast("bytes", msgpack.packb([int(response.status), content]))
    return bytes((Opcode.RESPONSE,)) + response.identity + packed


def decode_response(body: bytes) -> Response:
    """Read the body of a response; a status of a later version counts as failed.

    Raises:
        MalformedBodyError: It is none.
    """
    identity = body[1:_HEAD_BYTES]
    match _unpack(body):
        case [0, dict(result)] if _has_names(result):
            return Response(identity, Status.OK, result, "")
        case [int(status), str(reason)] if status != 0:
            known = Status(status) if status in set(Status) else Status.FAILED
            return Response(identity, known, {}, reason[:_MAX_REASON_CHARS])
        case _:
            raise MalformedBodyError("not a status and a result")


def _unpack(body: bytes) -> object:
    if len(body) <= _HEAD_BYTES:
        raise MalformedBodyError(f"a body of {len(body)} bytes")
    try:
        return msgpack.unpackb(memoryview(body)[_HEAD_BYTES:], **_LIMITS)
    except (msgpack.UnpackException, ValueError) as exc:
        raise MalformedBodyError(str(exc)) from exc


def _has_names(values: dict[object, object]) -> bool:
    return all(isinstance(name, str) for name in values)
