"""The settings as text: the commented TOML of ``config init``, and the values of ``config show``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from qudag_node.config.loader import LoadedConfig, Setting, settings

__all__ = ["config_document", "config_lines", "config_page", "config_template", "config_tree"]


def config_template() -> str:
    """Return a TOML file in which every setting stands, commented out, with its default and meaning."""
    return "\n".join(_template_lines()) + "\n"


def config_page() -> str:
    """Return docs/configuration.md."""
    return "\n".join(_page_lines()) + "\n"


def config_tree(loaded: LoadedConfig) -> dict[str, dict[str, object]]:
    """Return section to name to value; paths as text, lists as lists."""
    tree: dict[str, dict[str, object]] = {}
    for setting in settings():
        value: object = getattr(getattr(loaded.config, setting.section), setting.name)
        plain = str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
        tree.setdefault(setting.section, {})[setting.name] = plain
    return tree


def config_document(loaded: LoadedConfig) -> dict[str, object]:
    """Return every setting, and the source of each that is no default, as a JSON document."""
    return {"schema": "qudag.config/1", "config": config_tree(loaded), "sources": dict(loaded.sources)}


def config_lines(loaded: LoadedConfig) -> Iterator[str]:
    """Yield every setting as a line of TOML, with where its value came from as a comment."""
    for section, values in config_tree(loaded).items():
        yield f"[{section}]"
        for name, value in values.items():
            source = loaded.sources.get(f"{section}.{name}", "default")
            unset = "#" if value is None else ""
            yield f"{unset}{name} = {_toml(value)}  # {source}"


def _toml(value: object) -> str:
    """Write one value as TOML does; unset as an empty text, which a template comments out anyway."""
    if value is None:
        return '""'
    if isinstance(value, tuple | list):
        return f"[{', '.join(_toml(each) for each in value)}]"
    return json.dumps(str(value) if isinstance(value, Path) else value)


def _template_lines() -> Iterator[str]:
    yield "# Settings of a QuDAG node. '#key = value' shows a default; remove the '#' to change it."
    yield "# The environment (QUDAG_SECTION_KEY) and flags of `qudag start` go before this file."
    for section, group in groupby(settings(), key=lambda setting: setting.section):
        yield ""
        yield f"[{section}]"
        for setting in group:
            if setting.in_file:
                yield f"# {setting.help}"
                yield f"#{setting.name} = {_toml(setting.default)}"


_PAGE_HEAD = """\
# Configuration

<!-- Written by qudag_node.config.config_page, and compared by a test. To write it anew, run
python -c 'from qudag_node.config import config_page as page; print(page(), end="")' >docs/configuration.md
-->

A setting `section.key` has its value from the last of these that gives one:

1. its default,
2. the file: `key` in `[section]` of `DIR/config.toml`, or of the file named by `--config` or `QUDAG_CONFIG`,
3. the environment: `QUDAG_SECTION_KEY`; commas separate the parts of a list, an empty text unsets,
4. a flag of `qudag start`: one of its own (`qudag start --help`), or `--set section.key=value`.

DIR is `$XDG_DATA_HOME/qudag/NAME` (`~/.local/share/qudag/NAME`), or what `--data-dir` or
`QUDAG_NODE_DATA_DIR` says. `qudag config show` prints every value and where it came from; `qudag config init`
writes a file in which everything stands, commented out; `qudag config path` says where that is.
A misspelt key ends the start with exit code 2 and one line: the place, the key and the nearest spelling.

While the node runs, settings do not change; start it again to change one.\
"""

_KINDS = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "Path": "path",
    "list": "list of texts",
}


def _page_lines() -> Iterator[str]:
    yield _PAGE_HEAD
    for section, group in groupby(settings(), key=lambda setting: setting.section):
        yield ""
        yield f"## `[{section}]`"
        yield ""
        yield "| key | kind | default | meaning |"
        yield "|---|---|---|---|"
        for setting in group:
            default = "unset" if setting.default is None else f"`{_toml(setting.default)}`"
            kind = f"{_KINDS[setting.kind]}{_range(setting)}"
            yield f"| `{setting.name}` | {kind} | {default} | {setting.help} |"


def _range(setting: Setting) -> str:
    if setting.least is None or setting.most is None:
        return ""
    return f", {setting.least:,.15g} to {setting.most:,.15g}"
