"""Jobs for the tests of the worker processes; they run in a process of their own."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from qudag_node.nettests.worker.channel import Channel
from qudag_node.nettests.worker.jobs import JobError

MODULE = __name__


def count(params: dict[str, Any], channel: Channel) -> dict[str, Any]:
    channel.emit("ready", pid=os.getpid())
    for number in range(int(params["to"])):
        channel.emit("counted", number=number)
    return {"counted": params["to"], "blob": bytes(int(params.get("blob", 0)))}


def fail(params: dict[str, Any], channel: Channel) -> dict[str, Any]:
    channel.emit("ready")
    raise JobError(str(params["text"]))


def crash(params: dict[str, Any], channel: Channel) -> dict[str, Any]:
    raise TypeError("a mistake of ours")


def refuse(params: dict[str, Any], channel: Channel) -> dict[str, Any]:
    return {"text": Path("/nonexistent/file").read_text()}


def die(params: dict[str, Any], channel: Channel) -> dict[str, Any]:
    sys.stderr.write("famous last words\n")
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def chatter(params: dict[str, Any], channel: Channel) -> dict[str, Any]:
    for number in range(int(params["lines"])):
        sys.stderr.write(f"line {number} " + "x" * int(params["width"]) + "\n")
    return {}


def wait(params: dict[str, Any], channel: Channel) -> dict[str, Any]:
    channel.emit("ready", pid=os.getpid())
    stopped = channel.wait_stop(60)
    return {"stopped": stopped, "orders": [order["op"] for order in channel.orders()]}


def linger(params: dict[str, Any], channel: Channel) -> dict[str, Any]:
    import threading

    threading.Thread(target=threading.Event().wait).start()
    return {"modules": sorted(sys.modules)}


def nonsense(params: dict[str, Any], channel: Channel) -> dict[str, Any]:
    channel._sock.sendall(  # pyright: ignore[reportPrivateUsage]  # what no job does
        b"\xff\xff\xff\xff"
    )
    return {"stopped": channel.wait_stop(60)}


def hoard(params: dict[str, Any], channel: Channel) -> dict[str, Any]:
    return {"hoarded": len(bytearray(int(params["bytes"])))}
