"""The options of every command, with their defaults. argparse fills one of these, or the fast path does."""

from __future__ import annotations

from qudag_tui.client.connection import DEFAULT_TIMEOUT_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Options"]


class Options:
    """What the command line says; a command's own options are further attributes.

    Attributes:
        node: What ``--node`` names.
        data_dir: Where the node lives that is meant.
        token_file: What proves us on TCP and TLS.
        timeout_s: How long the node may take to answer.
        format: How to print; None is the command's own choice.
        no_color: Whether colour is unwanted.
    """

    node: str | None = None
    data_dir: str | None = None
    token_file: str | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S
    format: str | None = None
    no_color: bool = False

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
