"""Dialling an address as a link would be dialled, one step after the other, only to see how far it gets.

    resolve -> tcp -> tls -> identity -> protocol

The first step that fails is the last one taken. Nothing is sent but the beginning of a handshake: the other
end speaks first once TLS stands, and what it says tells whether a link could be made. Then this end hangs up.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from qudag_node.overlay.certificate import ALPN, client_context
from qudag_node.overlay.clock import Clock
from qudag_node.overlay.frames import HEADER_BYTES, FrameDecoder, FrameType, RemoteFault
from qudag_node.overlay.hello import LINK_VERSIONS, MAX_HELLO_BYTES, decode_server_hello
from qudag_node.overlay.text import clean_text
from qudag_node.peerid import PeerId, ed25519_key_of_certificate, peer_id_of

__all__ = ["EXAMINE_STEPS", "ExamineStep", "examine"]

EXAMINE_STEPS: Final = ("resolve", "tcp", "tls", "identity", "protocol")
_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamineStep:
    """One step.

    Attributes:
        step: One of ``EXAMINE_STEPS``.
        duration_s: How long it took.
        detail: What was found, in words.
        reason: Why it failed, likely; empty when it did not.
    """

    step: str
    ok: bool
    duration_s: float
    detail: str = ""
    reason: str = ""


class _FailedError(Exception):
    """A step did not get further."""


async def examine(
    host: str,
    port: int,
    *,
    network: str,
    expected: PeerId | None,
    clock: Clock,
    timeout_s: float = _TIMEOUT_S,
) -> list[ExamineStep]:
    """Return the steps taken towards a link with whoever listens at an address.

    Args:
        host: A name or an IP address.
        port: A TCP port.
        network: The id of the network it must be in.
        expected: Who must answer; None to take whoever does.
        timeout_s: For each step.
    """
    return await _Examination(clock, timeout_s).run(host, port, network, expected)


class _Examination:
    def __init__(self, clock: Clock, timeout_s: float) -> None:
        self._clock = clock
        self._timeout_s = timeout_s
        self._steps: list[ExamineStep] = []

    async def run(self, host: str, port: int, network: str, expected: PeerId | None) -> list[ExamineStep]:
        writer: asyncio.StreamWriter | None = None
        try:
            async with self._step("resolve") as found:
                address = await _resolve(host, port)
                found(address)
            async with self._step("tcp") as found:
                reader, writer = await asyncio.open_connection(address, port)
                found(f"{address} port {port} accepts connections")
            async with self._step("tls") as found:
                found(await _start_tls(writer))
            async with self._step("identity") as found:
                found(_identify(writer, expected))
            async with self._step("protocol") as found:
                found(await _read_hello(reader, network))
        except _FailedError:
            pass  # the step that failed is the last of the list
        finally:
            if writer is not None:
                writer.transport.abort()
        return self._steps

    @asynccontextmanager
    async def _step(self, name: str) -> AsyncGenerator[Callable[[str], None]]:
        """Note one step: it ends well with what it found, or the examination ends with it."""
        details: list[str] = []
        began_mono_s = self._clock.monotonic()
        reason = ""
        try:
            async with asyncio.timeout(self._timeout_s):
                yield details.append
        except TimeoutError:
            reason = f"no answer within {self._timeout_s:g} s: {_SILENCE[name]}"
        except (OSError, UnicodeError, asyncio.IncompleteReadError, RemoteFault, ValueError) as exc:
            reason = _words(name, exc)
        duration_s = self._clock.monotonic() - began_mono_s
        self._steps.append(
            ExamineStep(
                step=name, ok=not reason, duration_s=duration_s, detail="".join(details), reason=reason
            )
        )
        if reason:
            raise _FailedError


_SILENCE = {
    "resolve": "the name server does not answer",
    "tcp": "a firewall drops the packets, or the host is down",
    "tls": "what listens there does not speak TLS, or is stuck",
    "identity": "what listens there is stuck",
    "protocol": "what listens there does not speak the link protocol",
}


async def _resolve(host: str, port: int) -> str:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return str(found[0][4][0])


async def _start_tls(writer: asyncio.StreamWriter) -> str:
    # 3.11 has no server_hostname=None here; with an empty one no name is sent, and none is checked.
    await writer.start_tls(client_context(), server_hostname="")
    chosen: ssl.SSLObject = writer.get_extra_info("ssl_object")
    if chosen.selected_alpn_protocol() != ALPN:
        raise ValueError(f"it speaks TLS, but not {ALPN}")
    return f"{chosen.version()}, {ALPN}"


def _identify(writer: asyncio.StreamWriter, expected: PeerId | None) -> str:
    chosen: ssl.SSLObject = writer.get_extra_info("ssl_object")
    certificate = chosen.getpeercert(True)
    found = peer_id_of(ed25519_key_of_certificate(certificate or b""))
    if expected is not None and found != expected:
        raise ValueError(f"another node answers there: {found}")
    return found


async def _read_hello(reader: asyncio.StreamReader, network: str) -> str:
    decoder = FrameDecoder(MAX_HELLO_BYTES)
    decoder.push(await reader.readexactly(HEADER_BYTES))
    while (frame := decoder.pop()) is None:
        data = await reader.read(MAX_HELLO_BYTES)
        if not data:
            raise ConnectionResetError
        decoder.push(data)
    kind, payload = frame
    if kind is not FrameType.HELLO:
        raise RemoteFault("hello_expected", f"a {kind.name.lower()} frame before the hello")
    hello = decode_server_hello(payload)
    if hello.network != network:
        raise ValueError(f"it is in network {clean_text(hello.network)!r}, this node in {network!r}")
    if not set(hello.versions) & set(LINK_VERSIONS):
        spoken = ", ".join(map(str, hello.versions))
        raise ValueError(f"no link version in common: it speaks {spoken}")
    return f"{clean_text(hello.agent)}, network {network}"


def _words(step: str, exc: Exception) -> str:
    """Return the likely reason of a failure, in one line."""
    match exc:
        case ConnectionRefusedError():
            return "nothing listens at this port, or a firewall rejects it"
        case socket.gaierror():
            return f"the name is not known: {exc.strerror}"
        case ssl.SSLError():
            return f"TLS failed: {exc.reason or exc}"
        case ConnectionError() | asyncio.IncompleteReadError():
            words = "the other end closed the connection"
            return words if step == "tcp" else f"{words}: it is full, has banned this address, or is no node"
        case OSError() if exc.errno:
            return os.strerror(exc.errno)
        case _:
            return str(exc)
