"""Opening the node that the options mean."""

from __future__ import annotations

from qudag_tui.client.connection import connect
from qudag_tui.client.locate import locate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qudag_tui.cli.options import Options
    from qudag_tui.client.connection import Connection

__all__ = ["open_node"]


def open_node(options: Options) -> Connection:
    """Connect to the node that is meant."""
    endpoint = locate(options.node, token_file=options.token_file, data_directory=options.data_dir)
    return connect(endpoint.address, token=endpoint.read_token(), timeout_s=options.timeout_s)
