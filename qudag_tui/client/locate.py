"""Which node is meant.

``--node`` or ``QUDAG_NODE`` is an address, the name of a running node, or ``[nodes.NAME]`` of the
configuration. Without either it is the only running node. Running nodes are found by the links they
leave in the runtime directory; a link whose node is gone is passed over.
"""

# pathlib costs a command as much as talking to the node:
# ruff: noqa: PTH112, PTH116, PTH118

from __future__ import annotations

import os

from qudag_node.wire.addresses import UnixAddress, parse_address
from qudag_node.wire.paths import DEFAULT_NAME, data_dir, running_link, runtime_dir, socket_path
from qudag_tui.client.endpoint import Endpoint, expand
from qudag_tui.errors import UnreachableError, UsageError, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["locate", "running_nodes"]

COOKIE = "rpc.cookie"
SOCKET_SUFFIX = ".sock"
SCHEMES = ("unix:", "tcp:", "tls:")

START = "start one with `qudag start`, or name one with --node"


def locate(
    node: str | None,
    *,
    environ: Mapping[str, str] | None = None,
    token_file: str | None = None,
    data_directory: str | None = None,
) -> Endpoint:
    """Find the node that is meant.

    Args:
        node: What ``--node`` says, or None.
        environ: Instead of this process's environment.
        token_file: What ``--token-file`` says, or None.
        data_directory: What ``--data-dir`` says, or None: the node that lives there, and its cookie.

    Raises:
        UsageError: It is unknown, or several nodes run and none is named; the message lists them.
        UnreachableError: No node runs.
    """
    env = os.environ if environ is None else environ
    node = node or env.get("QUDAG_NODE") or None
    token_file = token_file or env.get("QUDAG_TOKEN_FILE") or None
    if token_file is not None:
        token_file = expand(token_file)
    if data_directory is not None and node is None:
        return Endpoint(UnixAddress(socket_path(expand(data_directory), env)))
    if node is None:
        return _only_running(env)
    if not node.startswith(SCHEMES):
        return _named(node, env, token_file)
    home = expand(data_directory) if data_directory is not None else data_dir(DEFAULT_NAME, env)
    return _at(node, token_file, home)


def _at(address: str, token_file: str | None, home: str) -> Endpoint:
    try:
        parsed = parse_address(address)
    except ValueError as exc:
        raise UsageError(
            f"{address!r} is not a node's address: {exc}",
            "use unix:PATH, tcp://HOST:PORT, tls://PEERID@HOST:PORT or a node's name",
        ) from exc
    return Endpoint(parsed, token_file=token_file, cookies=(os.path.join(home, COOKIE),))


def _named(name: str, env: Mapping[str, str], token_file: str | None) -> Endpoint:
    try:
        link, home = running_link(name, env), data_dir(name, env)
    except ValueError:
        link, home = "", ""  # no node can have this name, but the configuration may
    if link and _answers(link):
        return Endpoint(UnixAddress(link))
    from qudag_tui.config import load_config

    config = load_config(env)
    entry = config.nodes.get(name)
    if entry is not None:
        own = str(entry.token_file) if entry.token_file else None
        return _at(entry.address, token_file or own, data_dir(DEFAULT_NAME, env))
    if home and os.path.isdir(home):
        raise UnreachableError(
            f"the node {name!r} is not running", f"start it with `qudag start --name {name}`"
        )
    known = {*running_nodes(env), *config.nodes}
    raise UsageError(
        f"no node is called {name!r}: none such runs, and {config.path} has no [nodes.{name}]",
        did_you_mean(name, known),
    )


def _only_running(env: Mapping[str, str]) -> Endpoint:
    links = _links(env)
    if len(links) > 1:
        links = {name: link for name, link in links.items() if _answers(link)}
    if not links:
        raise UnreachableError("no node is running", START)
    if len(links) > 1:
        raise UsageError(
            f"several nodes are running: {', '.join(sorted(links))}",
            "name one with --node NAME or QUDAG_NODE",
        )
    return Endpoint(UnixAddress(*links.values()))


def running_nodes(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The sockets of the nodes that run for this user, by name."""
    env = os.environ if environ is None else environ
    return {name: link for name, link in sorted(_links(env).items()) if _answers(link)}


def _links(env: Mapping[str, str]) -> dict[str, str]:
    """What lies in the runtime directory: links, by the name of their node."""
    directory = runtime_dir(env)
    try:
        if os.stat(directory).st_uid != os.getuid():
            return {}  # somebody else's: in a shared temporary directory anyone may make one
        with os.scandir(directory) as entries:
            return {
                entry.name.removesuffix(SOCKET_SUFFIX): entry.path
                for entry in entries
                if entry.name.endswith(SOCKET_SUFFIX) and entry.is_symlink()
            }
    except OSError:
        return {}  # not there: no node has run since the last boot


def _answers(path: str) -> bool:
    """Whether somebody listens on a Unix socket; nothing is sent."""
    import _socket

    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        sock.settimeout(1.0)
        sock.connect(path)
    except OSError:
        return False
    finally:
        sock.close()
    return True
