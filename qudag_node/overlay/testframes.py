"""What a TEST frame carries: a message to the neighbour itself, or a routed envelope. No I/O.

    0            1
    +------------+-----------------------------------------------------+
    | subtype u8 | 0: body, opaque here, at most 16 KiB                |
    |            | 1: an envelope of ``routed``, its kind 4, 5 or 6    |
    +------------+-----------------------------------------------------+

A frame of another subtype is dropped: it is of a later version.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

from qudag_node.overlay.frames import FrameType, encode_frame
from qudag_node.overlay.routed import MAX_BODY_BYTES

__all__ = ["PortDropCause", "Subtype", "encode_test", "subtype_of"]


class Subtype(IntEnum):
    """The first byte of a TEST frame's payload."""

    #: A body for the neighbour that reads it.
    DIRECT = 0
    #: A body, a trace or the answer to one, for a node that may be several hops away.
    ENVELOPE = 1


class PortDropCause(StrEnum):
    """Why a test message was dropped here; the text is the cause in ``TestPort.drop_counts``."""

    #: It is of a subtype that is not known here, empty or too long.
    SUBTYPE = "test_subtype"
    #: It is from a peer that is banned.
    BANNED = "test_banned"
    #: This node takes part in no tests.
    UNHANDLED = "test_unhandled"


def encode_test(subtype: Subtype, content: bytes) -> bytes:
    """Return a whole TEST frame."""
    return encode_frame(FrameType.TEST, bytes((subtype,)) + content)


def subtype_of(payload: bytes) -> Subtype | None:
    """Return what a TEST frame's payload carries; None when it is nothing that is known here."""
    if not payload or payload[0] >= len(Subtype):
        return None
    subtype = Subtype(payload[0])
    return None if subtype is Subtype.DIRECT and len(payload) > 1 + MAX_BODY_BYTES else subtype
