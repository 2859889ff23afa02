import asyncio
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from qudag_node.errors import ConfigError, NodeError
from qudag_node.lab import control
from qudag_node.lab.directory import LabDirectory
from qudag_node.lab.errors import LabError, LabNotRunningError


async def answer(order: Mapping[str, Any]) -> dict[str, Any]:
    match order["op"]:
        case "twice":
            return {"twice": order["value"] * 2}
        case "refuse":
            raise ConfigError("--rate", "too much")
        case "hang":
            await asyncio.sleep(60)
            return {}
        case _:
            raise RuntimeError("a bug")


async def asked(path: Path, order: Mapping[str, Any], timeout_s: float = 10) -> dict[str, Any]:
    directory = LabDirectory(path, os.environ)
    server = await control.serve(directory.control_path, answer)
    try:
        return await asyncio.to_thread(control.ask, directory, order, timeout_s=timeout_s)
    finally:
        server.close()


async def test_a_command_is_answered(tmp_path: Path) -> None:
    assert await asked(tmp_path, {"op": "twice", "value": 21}) == {"twice": 42}
    assert (tmp_path / "control.sock").stat().st_mode & 0o777 == 0o600


async def test_a_refusal_keeps_its_text_and_its_exit_code(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="--rate: too much") as caught:
        await asked(tmp_path, {"op": "refuse"})
    assert caught.value.exit_code == 2


async def test_a_bug_ends_one_command_and_not_the_lab(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="the lab failed: RuntimeError"):
        await asked(tmp_path, {"op": "bug"})


async def test_a_lab_that_does_not_answer_is_a_timeout(tmp_path: Path) -> None:
    with pytest.raises(LabNotRunningError, match=r"did not answer within 0\.2 s") as caught:
        await asked(tmp_path, {"op": "hang"}, timeout_s=0.2)
    assert caught.value.exit_code == 3


def test_where_no_lab_is_the_error_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(LabNotRunningError, match="no lab runs here; start one with: qudag lab up --dir"):
        control.ask(LabDirectory(tmp_path, os.environ), {"op": "status"}, timeout_s=1)


async def test_a_lab_that_ends_meanwhile_is_an_error(tmp_path: Path) -> None:
    directory = LabDirectory(tmp_path, os.environ)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(directory.control_path))
        listener.listen()

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.recv(100)
            connection.close()

        ending = asyncio.create_task(asyncio.to_thread(hang_up))
        with pytest.raises(LabError, match="ended before it answered"):
            await asyncio.to_thread(control.ask, directory, {"op": "status"}, timeout_s=5)
        await ending
