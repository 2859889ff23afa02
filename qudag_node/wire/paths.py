"""Where a node keeps its data and its socket. Names only: nothing is opened, made or checked here.

Everything is text, not ``pathlib.Path``: importing pathlib costs a command as much as talking to the node.

    DIR                              $XDG_DATA_HOME/qudag/NAME       else ~/.local/share/qudag/NAME
    DIR/rpc.sock                     the socket; a path over 100 bytes is bound in the runtime directory
    RUNTIME/NAME.sock                a link to the socket of a running node
    RUNTIME                          $XDG_RUNTIME_DIR/qudag          else /tmp/qudag-UID, mode 0700

Whoever uses the fallback must make it with mode 0700 and check that it belongs to this user.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULT_NAME", "check_name", "data_dir", "running_link", "runtime_dir", "socket_path"]

DEFAULT_NAME = "node"

# A Unix socket's path has at most 108 bytes on Linux and 104 on macOS, the final NUL included.
_LONGEST_SOCKET_PATH = 100
# As many as an advert of the network has room for.
_LONGEST_NAME = 63
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.")


def check_name(name: str) -> str:
    """Return the name of a node, if it is one: 1 to 64 letters, digits, ``_`` and ``.``, the first no dot.

    Raises:
        ValueError: it is not; the text says what is allowed.
    """
    if not name or len(name) > _LONGEST_NAME or name[0] == "." or not _NAME_CHARACTERS.issuperset(name):
        raise ValueError(
            f"{name!r} is no name for a node: use 1 to {_LONGEST_NAME} letters, digits, '_' and '.', "
            "the first not a dot"
        )
    return name


def data_dir(name: str, environ: Mapping[str, str]) -> str:
    """Return the directory a node of this name keeps its data in.

    Raises:
        ValueError: the name cannot be a node's.
    """
    return f"{_xdg('XDG_DATA_HOME', environ) or _home(environ) + '/.local/share'}/qudag/{check_name(name)}"


def runtime_dir(environ: Mapping[str, str]) -> str:
    """Return the directory with the links to the running nodes of this user."""
    base = _xdg("XDG_RUNTIME_DIR", environ)
    return f"{base}/qudag" if base else _fallback_dir(environ)


def running_link(name: str, environ: Mapping[str, str]) -> str:
    """Return the link that leads to the socket of the running node of this name.

    Raises:
        ValueError: the name cannot be a node's.
    """
    return f"{runtime_dir(environ)}/{check_name(name)}.sock"


def socket_path(data_dir: str | os.PathLike[str], environ: Mapping[str, str]) -> str:
    """Return the path to bind or to connect to for the node with this data directory."""
    directory = os.path.abspath(data_dir)  # noqa: PTH100 - see the top
    path = f"{directory}/rpc.sock"
    if _fits(path):
        return path
    from hashlib import sha256

    name = f"{sha256(os.fsencode(directory)).hexdigest()[:16]}.rpc"
    # A runtime directory may itself be too long, in a sandbox or a test.
    path = f"{runtime_dir(environ)}/{name}"
    return path if _fits(path) else f"{_fallback_dir({})}/{name}"


def _fits(path: str) -> bool:
    return len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH


def _xdg(variable: str, environ: Mapping[str, str]) -> str:
    """Return a directory of the XDG base directory specification, which says to ignore relative ones."""
    path = environ.get(variable, "").rstrip("/")
    return path if path.startswith("/") else ""


def _fallback_dir(environ: Mapping[str, str]) -> str:
    return f"{_xdg('TMPDIR', environ) or '/tmp'}/qudag-{os.getuid()}"  # noqa: S108 - owner and mode are checked


def _home(environ: Mapping[str, str]) -> str:
    home = _xdg("HOME", environ)
    if home:
        return home
    import pwd

    return pwd.getpwuid(os.getuid()).pw_dir
