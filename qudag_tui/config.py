"""The windows' own configuration: ``$XDG_CONFIG_HOME/qudag/config.toml``, and nothing else.

::

    [nodes.rack1]
    address = "tls://12D3KooW…@10.0.0.7:7000"
    token_file = "~/.config/qudag/rack1.token"

    [monitor]
    theme = "qudag-dark"
    interval_s = 1.0

    [keys]
    sort-next = "n"

Unknown keys are errors that name the file, the key and the nearest spelling. A command that needs no
configuration does not import this module.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from qudag_tui.errors import ConfigError, did_you_mean

__all__ = ["MonitorConfig", "NodeEntry", "WindowsConfig", "config_path", "load_config"]

# A person writes this file; one that is larger is something else.
MAX_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEntry:
    """A node that has a name here: ``[nodes.NAME]``."""

    address: str
    token_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorConfig:
    """How ``qudag-top`` looks and behaves: ``[monitor]``. None leaves the choice to the monitor."""

    theme: str | None = None
    interval_s: float | None = None
    mouse: bool | None = None
    ascii: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowsConfig:
    """Everything the two windows can be told by a file."""

    path: Path
    nodes: Mapping[str, NodeEntry] = field(default_factory=dict[str, NodeEntry])
    monitor: MonitorConfig = MonitorConfig()
    keys: Mapping[str, str] = field(default_factory=dict[str, str])


def config_path(environ: Mapping[str, str]) -> Path:
    """Where the file is looked for."""
    base = environ.get("XDG_CONFIG_HOME", "")
    if not base.startswith("/"):  # the specification ignores relative paths
        base = str(Path(environ.get("HOME") or "~").expanduser() / ".config")
    return Path(base) / "qudag" / "config.toml"


def load_config(environ: Mapping[str, str] | None = None) -> WindowsConfig:
    """Read the file; one that does not exist is an empty configuration.

    Raises:
        ConfigError: The file cannot be read, is not TOML, or holds a key or value that is not known.
    """
    path = config_path(os.environ if environ is None else environ)
    tree = _read(path)
    _only(path, "", tree, {"nodes", "monitor", "keys"})
    nodes = {
        name: _node(path, name, entry) for name, entry in _table(path, "nodes", tree.get("nodes", {})).items()
    }
    keys = _table(path, "keys", tree.get("keys", {}))
    return WindowsConfig(
        path=path,
        nodes=nodes,
        monitor=_monitor(path, _table(path, "monitor", tree.get("monitor", {}))),
        keys={name: _string(path, f"keys.{name}", key) for name, key in keys.items()},
    )


def _read(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as exc:
        raise ConfigError(str(path), exc.strerror or str(exc)) from exc
    if len(data) > MAX_CONFIG_BYTES:
        raise ConfigError(str(path), f"larger than {MAX_CONFIG_BYTES} bytes")
    try:
        return tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(str(path), f"not TOML: {exc}") from exc


def _only(path: Path, section: str, table: Mapping[str, object], known: set[str]) -> None:
    for key in table:
        if key not in known:
            name = f"{section}.{key}" if section else key
            raise ConfigError(str(path), f"unknown key {name!r}", did_you_mean(key, known))


def _table(path: Path, key: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ConfigError(str(path), f"{key} is not a table")
    return {str(name): item for name, item in value.items()}


def _string(path: Path, key: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(str(path), f"{key} = {value!r} is not a text", 'write it as key = "text"')
    return value


def _node(path: Path, name: str, entry: object) -> NodeEntry:
    key = f"nodes.{name}"
    table = _table(path, key, entry)
    _only(path, key, table, {"address", "token_file"})
    if "address" not in table:
        raise ConfigError(
            str(path), f"{key} has no address", f'add address = "tls://PEERID@HOST:PORT" to [{key}]'
        )
    token_file = table.get("token_file")
    return NodeEntry(
        address=_string(path, f"{key}.address", table["address"]),
        token_file=None
        if token_file is None
        else Path(_string(path, f"{key}.token_file", token_file)).expanduser(),
    )


def _monitor(path: Path, table: Mapping[str, object]) -> MonitorConfig:
    _only(path, "monitor", table, {"theme", "interval_s", "mouse", "ascii"})
    theme = table.get("theme")
    interval_s = table.get("interval_s")
    if interval_s is not None and (
        isinstance(interval_s, bool)
        or not isinstance(interval_s, int | float)
        or not 0.1 <= interval_s <= 3600
    ):
        raise ConfigError(str(path), f"monitor.interval_s = {interval_s!r} is not a number from 0.1 to 3600")
    return MonitorConfig(
        theme=None if theme is None else _string(path, "monitor.theme", theme),
        interval_s=None if interval_s is None else float(interval_s),
        mouse=_flag(path, "monitor.mouse", table.get("mouse")),
        ascii=_flag(path, "monitor.ascii", table.get("ascii")),
    )


def _flag(path: Path, key: str, value: object) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise ConfigError(str(path), f"{key} = {value!r} is not true or false")
    return value
