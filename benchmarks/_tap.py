"""When the packets of a STAMP session passed a device, by the kernel's clock: read by nothing of ours.

    python -m benchmarks._tap DEVICE        inside a namespace; ends, and prints, when its input does

Prints a JSON list of [is_outgoing, is_reply, sequence, unix_ns]. A packet socket sees what leaves just before
the device has it, and what arrives just after.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.netns import Namespace

__all__ = ["Tap", "round_trips_s", "tapping"]

_ETH_P_ALL = 3
_ETH_P_IP = 0x0800
_SO_TIMESTAMPNS = 35
_BUFFER_BYTES = 8 << 20
_SO_RCVBUFFORCE = 33
_PACKET_OUTGOING = 4
_IP_AND_UDP_BYTES = 28
#: Where an authenticated reply repeats the sender's sequence number (RFC 8762, section 4.3.2).
_SEQUENCE_OF_SENDER = 48
_LEAST_BYTES = 112
_UDP = 17

Seen = list[tuple[bool, bool, int, int]]


@dataclass(slots=True)
class Tap:
    """What was seen, once the block has ended."""

    seen: Seen = field(default_factory=Seen)


@contextmanager
def tapping(namespace: Namespace, device: str) -> Generator[Tap]:
    """Note the STAMP packets that pass a device while the block runs."""
    tap = Tap()
    with namespace.program(sys.executable, "-m", "benchmarks._tap", device) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield tap
        process.stdin.write("\n")
        process.stdin.flush()
        tap.seen = [
            (bool(out), bool(reply), seq, ns) for out, reply, seq, ns in json.loads(process.stdout.readline())
        ]


def round_trips_s(near: Seen, far: Seen) -> list[float]:
    """The round trips that both devices saw: the time on the way, without that at the far host."""
    out, back = ({seq: ns for is_out, _, seq, ns in near if is_out is wanted} for wanted in (True, False))
    there, replied = ({seq: ns for is_out, _, seq, ns in far if is_out is wanted} for wanted in (False, True))
    complete = out.keys() & back.keys() & there.keys() & replied.keys()
    return [(back[seq] - out[seq] - (replied[seq] - there[seq])) / 1e9 for seq in sorted(complete)]


def main() -> None:
    """Let the kernel note packets until the input has something to say."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.bind((sys.argv[1], _ETH_P_ALL))
        print("ready", flush=True)
        # Nobody waits for the packets, so none of them wakes anybody: that would be seen in the times.
        sys.stdin.readline()
        sock.setblocking(False)
        seen: Seen = []
        with contextlib.suppress(BlockingIOError):
            while True:
                _note(sock, seen)
        print(json.dumps(seen), flush=True)


def _note(sock: socket.socket, seen: Seen) -> None:
    packet, ancillary, _, (_, protocol, kind, *_) = sock.recvmsg(2048, 64)
    if protocol != _ETH_P_IP or len(packet) < _IP_AND_UDP_BYTES + _LEAST_BYTES or packet[9] != _UDP:
        return
    payload = packet[_IP_AND_UDP_BYTES:]
    (sequence_there,) = struct.unpack_from("!I", payload, _SEQUENCE_OF_SENDER)
    (sequence,) = struct.unpack_from("!I", payload)
    # The far end's receive time stands where a request has zeros.
    is_reply = any(payload[32:40])
    seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
    seen.append(
        (
            kind == _PACKET_OUTGOING,
            is_reply,
            sequence_there if is_reply else sequence,
            seconds * 1_000_000_000 + nanoseconds,
        )
    )


if __name__ == "__main__":
    main()
