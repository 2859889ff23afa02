"""What a test needs of the machine: it may be skipped where that is missing, but never under CI."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from functools import cache

import pytest

__all__ = ["has_ipv6", "has_mount_namespaces", "need"]


def need(is_there: bool, what: str) -> None:
    """Skip the test where something is missing; where `CI` is set, fail it: there everything has to run."""
    if is_there:
        return
    if os.environ.get("CI"):
        pytest.fail(f"this machine lacks {what}, and under CI every test has to run")
    pytest.skip(f"this machine lacks {what}")


@cache
def has_ipv6() -> bool:
    """Whether a socket can be bound to the loopback address of IPv6."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@cache
def has_mount_namespaces() -> bool:
    """Whether any user may mount something in a namespace of its own."""
    command = ["unshare", "-Urm", "sh", "-c", "mount -t tmpfs none /mnt"]
    return shutil.which("unshare") is not None and not subprocess.run(command, capture_output=True).returncode
