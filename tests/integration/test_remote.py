"""What docs/remote.md tells to type, typed: a node elsewhere, over TLS or a forwarded port, with a token."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPO
from tests.integration.nodes import NodeProcess, environment, running

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _own_home(home: Path) -> None:
    """No command of a test ever sees the user's directories."""


def qudag(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "qudag_tui.cli", *words],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
        cwd=REPO,
    )


def address_of(node: NodeProcess, scheme: str) -> str:
    return next(word.rstrip(",") for word in node.ready_line.split() if word.startswith(scheme))


@pytest.mark.parametrize("scheme", ["tcp", "tls"])
def test_a_token_opens_what_its_role_allows_until_it_is_revoked(tmp_path: Path, scheme: str) -> None:
    token = str(tmp_path / "laptop.token")
    with running(tmp_path / "d", "--name", "peer1", "--rpc", f"{scheme}://127.0.0.1:0") as node:
        address = address_of(node, scheme)
        remote = ("--node", address, "--token-file", token)
        assert (
            qudag("--node", "peer1", "token", "add", "laptop", "--role", "viewer", "--file", token).returncode
            == 0
        )
        shown = qudag(*remote, "network", "stats", "--once")
        assert (shown.returncode, shown.stderr) == (0, "")
        assert "peer1" in shown.stdout
        refused = qudag(*remote, "stop")
        assert refused.returncode == 4
        assert "admin" in refused.stderr
        assert qudag("--node", "peer1", "token", "revoke", "laptop").returncode == 0
        assert qudag(*remote, "status").returncode == 4
        assert node.process.poll() is None


def test_the_cookie_of_the_run_opens_everything(tmp_path: Path) -> None:
    with running(tmp_path / "d", "--rpc", "tls://127.0.0.1:0") as node:
        cookie = str(tmp_path / "d" / "rpc.cookie")
        stopped = qudag("--node", address_of(node, "tls"), "--token-file", cookie, "stop")
        assert stopped.returncode == 0, stopped.stderr
        assert node.finish()[0] == 0


def test_another_identity_than_expected_is_told_nothing(tmp_path: Path) -> None:
    with (
        running(tmp_path / "d", "--name", "peer1", "--rpc", "tls://127.0.0.1:0") as node,
        running(tmp_path / "e", "--name", "peer2") as other,
    ):
        expected = other.ready_line.split()[1]
        port = address_of(node, "tls").rpartition(":")[2]
        cookie = str(tmp_path / "d" / "rpc.cookie")
        refused = qudag("--node", f"tls://{expected}@127.0.0.1:{port}", "--token-file", cookie, "status")
        assert refused.returncode == 4
        assert node.ready_line.split()[1] in refused.stderr
        assert expected in refused.stderr


def test_without_an_identity_the_command_says_how_to_obtain_it(tmp_path: Path) -> None:
    with running(tmp_path / "d", "--rpc", "tls://127.0.0.1:0") as node:
        port = address_of(node, "tls").rpartition(":")[2]
        cookie = str(tmp_path / "d" / "rpc.cookie")
        refused = qudag("--node", f"tls://127.0.0.1:{port}", "--token-file", cookie, "status")
        assert refused.returncode == 2
        assert "qudag id" in refused.stderr
