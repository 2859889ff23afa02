"""``qudag token …``: tokens for clients on TCP and TLS. A token is made by the node and shown once."""

from __future__ import annotations

import os
import sys

from qudag_tui.cli.output import READING, Paper, print_json, print_lines
from qudag_tui.cli.session import open_node
from qudag_tui.errors import QudagError
from qudag_tui.views.facts import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qudag_tui.cli.options import Options

__all__ = ["add", "list_", "revoke"]

#: 64 hexadecimal digits and the end of the line.
TOKEN_FILE_BYTES = 65

TOKEN_SCHEMA = "qudag.token/1"  # noqa: S105 — a schema's name
TOKENS_SCHEMA = "qudag.tokens/1"


def add(options: Options) -> int:
    """Make a token; print it, or write it to a file that only its owner can read."""
    # The file first: a token that cannot be kept is better not made.
    file = _new_file(options.file) if options.file else None
    try:
        with open_node(options) as connection:
            answer = connection.call("token.add", {"name": options.token_name, "role": options.role})
        with READING:
            token = str(answer["token"])
    except BaseException:
        if file is not None:
            os.close(file)
            os.unlink(options.file)  # noqa: PTH108 — see cli.stats
        raise
    if file is not None:
        with os.fdopen(file, "w", encoding="ascii") as stream:
            stream.write(f"{token}\n")
        print(f"wrote {options.file}; use it with --token-file", file=sys.stderr)
    elif options.format == "json":
        print_json({"schema": TOKEN_SCHEMA, "name": options.token_name, "role": options.role, "token": token})
    else:
        print_lines([token])
    return 0


def _new_file(path: str) -> int:
    """Make the file and take its room on the disk, so that the token made next can be kept."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise QudagError(f"{path}: {exc.strerror}", "name a file that does not exist") from exc
    try:
        os.write(file, bytes(TOKEN_FILE_BYTES))
        os.fsync(file)
        os.lseek(file, 0, os.SEEK_SET)
    except OSError as exc:
        os.close(file)
        os.unlink(path)  # noqa: PTH108 — see cli.stats
        raise QudagError(f"{path}: {exc.strerror}", "name a file on another disk") from exc
    return file


def list_(options: Options) -> int:
    """Print the tokens without their secrets."""
    with open_node(options) as connection:
        answer = connection.call("token.list")
    tokens = answer.get("tokens", [])
    with READING:
        if options.format == "json":
            print_json({"schema": TOKENS_SCHEMA, "tokens": tokens})
        elif tokens:
            paper = Paper(no_color=options.no_color)
            columns = ("name", "role", "created_unix_s")
            print_lines(records(tokens, columns, width=paper.width, colour=paper.colour))
        else:
            print("no tokens; `qudag token add NAME` makes one", file=sys.stderr)
    return 0


def revoke(options: Options) -> int:
    """Forget a token; sessions that it opened are ended by the node."""
    with open_node(options) as connection:
        connection.call("token.revoke", {"name": options.token_name})
    print(f"{options.token_name} is revoked", file=sys.stderr)
    return 0
