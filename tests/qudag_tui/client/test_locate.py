"""Which node is meant: names, addresses, running nodes, the configuration, and where the token lies."""

from __future__ import annotations

import os
import socket
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from qudag_node.wire import TlsAddress, UnixAddress, running_link, socket_path
from qudag_tui.client.locate import locate, running_nodes
from qudag_tui.errors import ConfigError, RefusedError, UnreachableError, UsageError

PEER = "12D3KooWGRUVh7QyAkRTQrrKLGgMnEGJcEMjSmUxZ8jbCKSYnJmh"


@contextmanager
def running(name: str, directory: Path) -> Generator[str]:
    """A socket that answers, and the link that a running node of this name leaves."""
    directory.mkdir(parents=True, exist_ok=True)
    path = str(directory / "rpc.sock")
    link = Path(running_link(name, os.environ))
    link.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        link.symlink_to(path)
        yield str(link)


def configure(home: Path, text: str) -> Path:
    path = home / ".config" / "qudag" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_only_running_node_is_meant(home: Path, tmp_path: Path) -> None:
    with running("peer1", tmp_path / "n") as link:
        assert locate(None).address == UnixAddress(link)


def test_without_a_running_node_the_command_that_starts_one_is_named(home: Path) -> None:
    with pytest.raises(UnreachableError, match="no node is running; start one with `qudag start`") as caught:
        locate(None)
    assert caught.value.exit_code == 3


def test_several_running_nodes_are_listed(home: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        for name in ("peer2", "peer1"):
            stack.enter_context(running(name, tmp_path / name))
        with pytest.raises(UsageError, match="several nodes are running: peer1, peer2") as caught:
            locate(None)
        assert caught.value.exit_code == 2
        assert sorted(running_nodes()) == ["peer1", "peer2"]
        assert locate("peer2").address == UnixAddress(running_link("peer2", os.environ))


def test_a_link_whose_node_is_gone_is_passed_over(home: Path, tmp_path: Path) -> None:
    with running("dead", tmp_path / "dead"):
        pass
    with running("alive", tmp_path / "alive") as link:
        assert locate(None).address == UnixAddress(link)
        assert running_nodes() == {"alive": link}


def test_a_directory_of_somebody_else_is_not_believed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    with pytest.raises(UnreachableError):
        locate(None)


@pytest.mark.parametrize(
    "address", ["unix:/run/x.sock", "tcp://127.0.0.1:9000", "tcp://[::1]:9000", f"tls://{PEER}@10.0.0.7:9443"]
)
def test_an_address_is_itself(home: Path, address: str) -> None:
    assert locate(address).where == address
    assert locate(None, environ={**os.environ, "QUDAG_NODE": address}).where == address


@pytest.mark.parametrize(
    "address",
    ["tcp://nowhere", "tls://short@h:1", "unix:", "tcp://h:99999", "tcp:127.0.0.1:1", "tcp://[::1:5"],
)
def test_a_malformed_address_is_a_usage_error(home: Path, address: str) -> None:
    with pytest.raises(UsageError, match="is not a node's address") as caught:
        locate(address)
    assert caught.value.exit_code == 2


def test_a_node_can_be_meant_by_its_directory(home: Path, tmp_path: Path) -> None:
    where = locate(None, data_directory=str(tmp_path / "data"))
    assert where.address == UnixAddress(socket_path(str(tmp_path / "data"), os.environ))


def test_a_name_of_the_configuration_has_its_address_and_token_file(home: Path) -> None:
    configure(home, f'[nodes.rack1]\naddress = "tls://{PEER}@10.0.0.7:9443"\ntoken_file = "~/rack1.token"\n')
    found = locate("rack1")
    assert found.address == TlsAddress("10.0.0.7", 9443, PEER)  # type: ignore[arg-type]
    assert found.token_file == str(home / "rack1.token")
    assert locate("rack1", token_file="/other").token_file == "/other"


def test_a_running_node_goes_before_the_configuration(home: Path, tmp_path: Path) -> None:
    configure(home, '[nodes.peer1]\naddress = "tcp://127.0.0.1:1"\n')
    assert locate("peer1").where == "tcp://127.0.0.1:1"
    with running("peer1", tmp_path / "n") as link:
        assert locate("peer1").address == UnixAddress(link)


def test_an_unknown_name_is_told_with_the_nearest(home: Path, tmp_path: Path) -> None:
    configure(home, '[nodes.rack1]\naddress = "tcp://127.0.0.1:1"\n')
    with running("peer1", tmp_path / "n"), pytest.raises(UsageError, match="did you mean 'peer1'"):
        locate("per1")
    with pytest.raises(UsageError, match=r"has no \[nodes\.rakc1\]; did you mean 'rack1'"):
        locate("rakc1")
    with pytest.raises(UsageError, match="no node is called 'a/b'"):
        locate("a/b")


def test_a_node_that_exists_and_does_not_run_is_unreachable(home: Path) -> None:
    (home / ".local/share/qudag/peer1").mkdir(parents=True)
    with pytest.raises(UnreachableError, match="start it with `qudag start --name peer1`"):
        locate("peer1")


# --- the configuration ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[nods.x]\n", r"config\.toml: unknown key 'nods'; did you mean 'nodes'\?"),
        ('[nodes.x]\nadress = "tcp://h:1"\n', r"unknown key 'nodes\.x\.adress'; did you mean 'address'\?"),
        ("[nodes.x]\n", r"nodes\.x has no address"),
        ("[nodes.x]\naddress = 7\n", r"nodes\.x\.address = 7 is not a text"),
        ("nodes = 7\n", "nodes is not a table"),
        ("[monitor]\ninterval_s = 0\n", r"interval_s = 0 is not a number from 0\.1 to 3600"),
        ("[monitor]\nmouse = 1\n", r"monitor\.mouse = 1 is not true or false"),
        ("[keys]\nsort = 1\n", r"keys\.sort = 1 is not a text"),
        ("[nodes", "not TOML"),
        ("\xff", "not TOML"),
    ],
)
def test_a_mistake_in_the_configuration_names_file_key_and_nearest(
    home: Path, text: str, complaint: str
) -> None:
    configure(home, "").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=complaint) as caught:
        locate("x")
    assert caught.value.exit_code == 2
    assert caught.value.where.endswith("qudag/config.toml")


def test_everything_the_configuration_may_say(home: Path) -> None:
    from qudag_tui.config import MonitorConfig, load_config

    configure(
        home,
        '[monitor]\ntheme = "qudag-light"\ninterval_s = 2\nmouse = false\nascii = true\n[keys]\nsort = "n"\n',
    )
    config = load_config()
    assert config.monitor == MonitorConfig(theme="qudag-light", interval_s=2.0, mouse=False, ascii=True)
    assert config.keys == {"sort": "n"}
    assert config.nodes == {}


def test_a_configuration_of_megabytes_is_refused(home: Path) -> None:
    configure(home, "#" * (2 << 20))
    with pytest.raises(ConfigError, match="larger than"):
        locate("x")


def test_a_configuration_that_cannot_be_read_is_told(home: Path) -> None:
    configure(home, "").unlink()
    (home / ".config/qudag/config.toml").mkdir()
    with pytest.raises(ConfigError, match="directory"):
        locate("x")


# --- tokens ---------------------------------------------------------------------------------------

TOKEN = bytes(range(32))


def test_a_unix_socket_needs_no_token(home: Path) -> None:
    assert locate("unix:/x", token_file="/nowhere").read_token() is None


def test_a_token_is_read_from_the_named_file(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN.hex() + "\n")
    assert locate("tcp://127.0.0.1:1", token_file=str(file)).read_token() == TOKEN
    env = {**os.environ, "QUDAG_TOKEN_FILE": str(file)}
    assert locate("tcp://127.0.0.1:1", environ=env).read_token() == TOKEN


def test_the_cookie_of_a_node_here_is_the_last_resort(home: Path, tmp_path: Path) -> None:
    for directory, options in (
        (home / ".local/share/qudag/node", {}),
        (tmp_path / "data", {"data_directory": str(tmp_path / "data")}),
    ):
        directory.mkdir(parents=True)
        (directory / "rpc.cookie").write_text(TOKEN.hex() + "\n")
        assert locate("tcp://127.0.0.1:1", **options).read_token() == TOKEN  # type: ignore[arg-type]


def test_no_token_at_all_is_for_the_node_to_complain_about(home: Path) -> None:
    assert locate("tcp://127.0.0.1:1").read_token() is None


@pytest.mark.parametrize("text", ["", "deadbeef\n", "g" * 64, "0" * 65, "é" * 64])
def test_a_file_without_a_token_is_a_refusal(home: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(RefusedError, match="holds no token"):
        locate("tcp://127.0.0.1:1", token_file=str(tmp_path / "token")).read_token()


def test_a_token_file_that_is_not_there_is_a_usage_error(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no token file"):
        locate("tcp://127.0.0.1:1", token_file=str(tmp_path / "nowhere")).read_token()
    with pytest.raises(UsageError, match="cannot read the token file"):
        locate("tcp://127.0.0.1:1", token_file=str(tmp_path)).read_token()
