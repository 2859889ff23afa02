"""How the lab's commands ask its supervisor: one JSON line each way over a Unix socket in DIR.

->  {"op": "impair", "orders": ["peer1-peer2:delay=20ms"]}
<-  {"result": {…}}   or   {"error": "what, where, what to do", "exit_code": 2}
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from qudag_node.errors import NodeError
from qudag_node.lab.directory import LabDirectory
from qudag_node.lab.errors import LabError, LabNotRunningError

__all__ = ["ask", "serve"]

_log = logging.getLogger(__name__)

#: The status of 200 nodes in a mesh, with the truth of 39,800 directions, is about 30 MB.
_MAX_LINE_BYTES = 64 << 20

Handler = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]


class AskedError(NodeError):
    """What the supervisor answered instead of a result; carries its exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


async def serve(path: Path, handler: Handler) -> asyncio.Server:
    """Answer on the socket until the server is closed. The directory keeps others out."""
    path.unlink(missing_ok=True)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            if line:
                writer.write(json.dumps(await _answer(handler, line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            return  # whoever asked went away, or sent more than a line may hold
        finally:
            writer.close()

    server = await asyncio.start_unix_server(answer, path, limit=_MAX_LINE_BYTES)
    path.chmod(0o600)
    return server


async def _answer(handler: Handler, line: bytes) -> dict[str, Any]:
    try:
        return {"result": await handler(json.loads(line))}
    except NodeError as error:
        return {"error": str(error), "exit_code": error.exit_code}
    except Exception as error:  # noqa: BLE001  # one command must not end the lab
        _log.exception("a command failed")
        return {"error": f"the lab failed: {error!r}; its log says more", "exit_code": 1}


def ask(directory: LabDirectory, order: Mapping[str, Any], *, timeout_s: float) -> dict[str, Any]:
    """Ask the lab in this directory.

    Raises:
        LabNotRunningError: No lab answers here, or not in time.
        NodeError: What the lab answered, with its exit code.
    """
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(timeout_s)
        try:
            channel.connect(os.fspath(directory.control_path))
            channel.sendall(json.dumps(order).encode() + b"\n")
            with channel.makefile("rb") as stream:
                line = stream.readline(_MAX_LINE_BYTES)
        except TimeoutError:
            raise LabNotRunningError(
                f"{directory.path}: the lab did not answer within {timeout_s:g} s"
            ) from None
        except OSError as error:
            raise LabNotRunningError(
                f"{directory.path}: no lab runs here; start one with: qudag lab up --dir {directory.path}"
            ) from error
    if not line:
        raise LabError(f"{directory.path}: the lab ended before it answered")
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise AskedError(answer["error"], answer["exit_code"])
    result: dict[str, Any] = answer["result"]
    return result
