"""Opening the node that the options mean."""

from __future__ import annotations

import sys

from qudag_tui.client.connection import connect
from qudag_tui.client.locate import locate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from qudag_tui.cli.options import Options
    from qudag_tui.client.connection import Connection

__all__ = ["open_node", "open_stream_of_node"]


def open_node(options: Options) -> Connection:
    """Connect to the node that is meant."""
    endpoint = locate(options.node, token_file=options.token_file, data_directory=options.data_dir)
    return connect(endpoint.address, token=endpoint.read_token(), timeout_s=options.timeout_s)


def open_stream_of_node(options: Options) -> Connection:
    """Connect for as long as somebody reads stdout, however quiet the node is."""
    connection = open_node(options)
    stdout: TextIO | None = sys.stdout  # None where it was closed before we began
    try:
        if stdout is not None:
            connection.end_with(stdout.fileno())
    except (OSError, ValueError):
        pass  # not a file: there is nothing to wait for
    return connection
