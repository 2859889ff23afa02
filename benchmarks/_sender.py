"""Sends link frames at a steady rate: ``python -m benchmarks._sender PORT CONNECTIONS RATE BATCH``.

A process of its own, so that its CPU is nobody's. Every millisecond it writes what is due, ``BATCH`` frames
on one connection at a time, the connections in turn. It ends when its standard input does.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from random import Random

from qudag_node.overlay.frames import FrameType, encode_frame

__all__: list[str] = []

_STEP_S = 0.001
#: Mostly data, the rest control: what a gossiping link carries.
_KINDS = (FrameType.DATA,) * 6 + (FrameType.ADVERT, FrameType.PING, FrameType.PONG, FrameType.ROUTED)
_BATCHES = 64


def main() -> None:
    """Connect, then send until standard input ends."""
    port, connections, rate, batch = (int(argument) for argument in sys.argv[1:])
    rng = Random(1)
    batches = [
        b"".join(
            encode_frame(rng.choice(_KINDS), rng.randbytes(rng.randrange(40, 600))) for _ in range(batch)
        )
        for _ in range(_BATCHES)
    ]
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    for sock in sockets:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    began_s, writes = time.monotonic(), 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        due = int((time.monotonic() - began_s) * rate / batch)
        # After a stall it does not make up for what it missed: the rate is a limit.
        for write in range(max(writes, due - connections), due):
            sockets[write % connections].sendall(batches[write % _BATCHES])
        writes = due
        time.sleep(_STEP_S)


if __name__ == "__main__":
    main()
