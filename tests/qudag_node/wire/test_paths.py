"""Where things are, from the environment alone."""

import os
import pwd
from pathlib import Path

import pytest

from qudag_node.wire import check_name, data_dir, running_link, runtime_dir, socket_path

TMP = "/tmp"  # noqa: S108 - the name is what is tested
USER = f"qudag-{os.getuid()}"
HOME = {"HOME": "/home/ada"}
XDG = {**HOME, "XDG_DATA_HOME": "/data/", "XDG_RUNTIME_DIR": "/run/user/1000"}


def test_data_lies_in_the_users_data_directory() -> None:
    assert data_dir("node", HOME) == "/home/ada/.local/share/qudag/node"
    assert data_dir("node", XDG) == "/data/qudag/node"


def test_relative_xdg_directories_are_ignored_as_their_specification_says() -> None:
    assert data_dir("node", {**HOME, "XDG_DATA_HOME": "data"}) == "/home/ada/.local/share/qudag/node"


def test_without_a_home_the_user_database_tells_it() -> None:
    assert data_dir("n", {}) == f"{pwd.getpwuid(os.getuid()).pw_dir}/.local/share/qudag/n"


def test_running_nodes_are_linked_in_the_runtime_directory() -> None:
    assert running_link("peer1", XDG) == "/run/user/1000/qudag/peer1.sock"
    assert runtime_dir(HOME) == f"{TMP}/{USER}"
    assert runtime_dir({"TMPDIR": "/var/x/"}) == f"/var/x/{USER}"


def test_the_socket_lies_in_the_data_directory() -> None:
    assert socket_path("/data/qudag/node", XDG) == "/data/qudag/node/rpc.sock"
    assert socket_path(Path("/data/qudag/node"), XDG) == "/data/qudag/node/rpc.sock"
    assert socket_path("x", XDG) == f"{Path.cwd()}/x/rpc.sock"


def test_a_path_too_long_for_a_socket_is_bound_in_the_runtime_directory() -> None:
    long = "/data/" + "é" * 45
    path = socket_path(long, XDG)
    assert path.startswith("/run/user/1000/qudag/")
    assert len(os.fsencode(path)) <= 100
    assert path == socket_path(long, XDG)
    assert path != socket_path(long + "x", XDG)


def test_a_runtime_directory_too_long_itself_is_not_used() -> None:
    path = socket_path("/data/" + "x" * 100, {"XDG_RUNTIME_DIR": "/run/" + "y" * 100})
    assert path.startswith(f"{TMP}/{USER}/")


@pytest.mark.parametrize("name", ["node", "peer1", "A_b.c", "x" * 63, "_"])
def test_names_of_nodes(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", ".x", "a/b", "a b", "é", "x" * 64, "a\n", "a-b"])
def test_other_texts_are_no_names(name: str) -> None:
    with pytest.raises(ValueError, match="no name for a node"):
        check_name(name)
    with pytest.raises(ValueError, match="no name for a node"):
        running_link(name, XDG)
