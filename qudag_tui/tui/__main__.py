"""The entry point of ``qudag-top``. Light: what a run does not need is not imported for it.

Exit codes: ``qudag_tui.errors``; 129, 131 and 143 after a hang-up, SIGQUIT and SIGTERM.
"""

from __future__ import annotations

import os
import sys

__all__ = ["main"]


def main() -> int:
    """Run ``qudag-top``; return the exit code."""
    from qudag_tui.errors import EXIT_BROKEN_PIPE, EXIT_INTERRUPTED, QudagError
    from qudag_tui.tui.options import parse_options

    try:
        options = parse_options(sys.argv[1:])
        from qudag_tui.tui.launch import launch

        code = launch(options)
        sys.stdout.flush()
    except QudagError as error:
        print(f"qudag-top: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Python flushes stdout once more at exit, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return EXIT_BROKEN_PIPE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return code


if __name__ == "__main__":
    sys.exit(main())
