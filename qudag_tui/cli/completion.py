"""``qudag completion``: the completion of a shell, made from the parser by shtab."""

from __future__ import annotations

from qudag_tui.cli.output import print_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qudag_tui.cli.options import Options

__all__ = ["run"]


def run(options: Options) -> int:
    """Print the script that the shell reads."""
    import shtab

    from qudag_tui.cli.program import build_parser

    print_lines([shtab.complete(build_parser(), shell=options.shell)])
    return 0
