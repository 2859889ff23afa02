"""The one loader: defaults < TOML file < QUDAG_* environment < flags, each value with its source.

A setting ``section.key`` is ``key`` in the file's ``[section]`` and ``QUDAG_SECTION_KEY`` in the
environment. Unknown keys are errors that name the place, the key and the nearest spelling.
"""

from __future__ import annotations

import difflib
import math
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from qudag_node.config.settings import NodeConfig
from qudag_node.errors import ConfigError

__all__ = ["LoadedConfig", "Setting", "load_config", "settings"]

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}
# Settings a file cannot hold: the file is found through the first, the second is a number of this process.
_NOT_IN_FILE = {"node.data_dir", "lab.parent_fd"}
# Sections are small; a file beyond this is not a configuration.
_MAX_FILE_BYTES = 1_048_576


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One key that can be set.

    Attributes:
        kind: ``str``, ``int``, ``float``, ``bool``, ``Path`` or ``list`` (of text).
        optional: Whether it may be left unset.
        least: The smallest number allowed, if it is one; ``most`` the largest.
    """

    section: str
    name: str
    kind: str
    optional: bool
    default: object
    help: str
    least: float | None
    most: float | None

    @property
    def key(self) -> str:
        """Its dotted name."""
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return f"QUDAG_{self.section}_{self.name}".upper()

    @property
    def in_file(self) -> bool:
        """Whether the file may set it."""
        return self.key not in _NOT_IN_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedConfig:
    """A checked configuration, and where each value that is no default came from.

    Attributes:
        sources: Dotted key to file, variable or flag; a key not listed has its default.
        file: The file that was read, if there was one.
    """

    config: NodeConfig
    sources: Mapping[str, str]
    file: Path | None = None


def settings() -> Iterator[Setting]:
    """Yield every setting, in the order of the tree."""
    for section, section_type in _section_types().items():
        hints = typing.get_type_hints(section_type)
        for each in fields(section_type):
            kind, optional = _kind_of(hints[each.name])
            yield Setting(
                section=section,
                name=each.name,
                kind=kind,
                optional=optional,
                default=each.default,
                help=each.metadata["help"],
                least=each.metadata["least"],
                most=each.metadata["most"],
            )


def load_config(
    *,
    file: Path | None = None,
    file_required: bool = False,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, tuple[str, object]] | None = None,
) -> LoadedConfig:
    """Put a configuration together and check it.

    Args:
        file: A TOML file; one that does not exist counts as empty unless ``file_required``.
        file_required: Whether the file was asked for by name.
        environ: The environment, usually ``os.environ``.
        flags: Dotted key to (the flag's name, its value as text or already converted).

    Raises:
        ConfigError: Names the file, variable or flag, the key, and what is wrong.
    """
    known = {setting.key: setting for setting in settings()}
    values: dict[str, object] = {}
    sources: dict[str, str] = {}
    if file is not None:
        for key, value in _read_file(file, known, required=file_required).items():
            values[key] = value
            sources[key] = str(file)
    for key, variable, text in _from_environment(environ or {}, known):
        values[key] = _from_text(text, known[key], variable)
        sources[key] = variable
    for key, (flag, value) in (flags or {}).items():
        setting = _known(key, known, flag)
        values[key] = (
            _from_text(value, setting, flag) if isinstance(value, str) else _typed(value, setting, flag)
        )
        sources[key] = flag
    used = file if file is not None and any(source == str(file) for source in sources.values()) else None
    return LoadedConfig(config=_build(values, sources), sources=sources, file=used)


def _section_types() -> dict[str, type[Any]]:
    hints = typing.get_type_hints(NodeConfig)
    return {each.name: hints[each.name] for each in fields(NodeConfig)}


def _kind_of(hint: Any) -> tuple[str, bool]:
    optional = False
    if isinstance(hint, types.UnionType):
        hint = next(each for each in typing.get_args(hint) if each is not types.NoneType)
        optional = True
    if typing.get_origin(hint) is tuple:
        return "list", optional
    return hint.__name__, optional


def _known(key: str, known: Mapping[str, Setting], where: str) -> Setting:
    if key in known:
        return known[key]
    raise ConfigError(where, f"unknown key {key!r}{_nearest(key, known)}")


def _nearest(word: str, words: Mapping[str, object]) -> str:
    return f"; the nearest is {difflib.get_close_matches(word, words, n=1, cutoff=0)[0]!r}"


def _read_file(file: Path, known: Mapping[str, Setting], *, required: bool) -> dict[str, object]:
    try:
        with file.open("rb") as stream:
            text = stream.read(_MAX_FILE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        if required:
            raise ConfigError(str(file), "no such file") from None
        return {}
    except OSError as exc:
        raise ConfigError(str(file), f"cannot be read: {exc.strerror}") from exc
    if len(text) > _MAX_FILE_BYTES:
        raise ConfigError(str(file), f"is larger than {_MAX_FILE_BYTES} bytes")
    try:
        document = tomllib.loads(text.decode())
    except ValueError as exc:  # among them a number of thousands of digits
        raise ConfigError(str(file), f"is not TOML: {' '.join(str(exc).split())}") from exc
    return dict(_flatten(file, document, known))


def _flatten(
    file: Path, document: Mapping[str, object], known: Mapping[str, Setting]
) -> Iterator[tuple[str, object]]:
    sections = {setting.section: setting for setting in known.values()}
    for section, table in document.items():
        if section not in sections:
            raise ConfigError(str(file), f"unknown section [{section}]{_nearest(section, sections)}")
        if not isinstance(table, dict):
            raise ConfigError(str(file), f"{section!r} is a section: write [{section}]")
        in_section = {s.name: s for s in known.values() if s.section == section and s.in_file}
        for name, value in typing.cast("dict[str, object]", table).items():
            if name not in in_section:
                raise ConfigError(str(file), f"unknown key '{section}.{name}'{_nearest(name, in_section)}")
            setting = in_section[name]
            yield setting.key, _typed(value, setting, f"{file}: {setting.key}")


def _from_environment(
    environ: Mapping[str, str], known: Mapping[str, Setting]
) -> Iterator[tuple[str, str, str]]:
    """Yield key, variable and text of every variable that names a section of ours."""
    key_by_variable = {setting.variable: setting.key for setting in known.values()}
    prefixes = tuple({f"QUDAG_{setting.section.upper()}_" for setting in known.values()})
    for variable, text in environ.items():
        if not variable.startswith(prefixes):
            continue
        if variable not in key_by_variable:
            raise ConfigError(
                variable, f"unknown setting in the environment{_nearest(variable, key_by_variable)}"
            )
        yield key_by_variable[variable], variable, text


def _from_text(text: str, setting: Setting, where: str) -> object:
    """Convert what the environment or a flag says."""
    text = text.strip()
    if setting.optional and not text:
        return None
    match setting.kind:
        case "str":
            return text
        case "Path":
            return Path(text)
        case "list":
            return tuple(part.strip() for part in text.split(",") if part.strip())
        case "bool":
            if text.lower() not in _TRUE | _FALSE:
                raise ConfigError(where, f"{text!r} is neither true nor false")
            return text.lower() in _TRUE
        case _:
            return _number(text, setting, where)


def _number(text: str, setting: Setting, where: str) -> object:
    try:
        return int(text) if setting.kind == "int" else _finite(float(text), where)
    except ValueError:
        raise ConfigError(where, f"{text!r} is not {_WORDS[setting.kind]}") from None


def _finite(value: float, where: str) -> float:
    if not math.isfinite(value):
        raise ConfigError(where, f"{value} is not a number")
    return value


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


_WORDS = {
    "str": "text",
    "Path": "a path",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list of text",
}


def _typed(value: object, setting: Setting, where: str) -> object:
    """Check what TOML, or a program, gave against the kind of the setting."""
    if value is None and setting.optional:
        return None
    match setting.kind, value:
        case ("bool", bool()) | ("str", str()) | ("Path", Path()):
            return value
        case ("int", int()) if not isinstance(value, bool):
            return value
        case ("float", int() | float()) if not isinstance(value, bool):
            return _finite(_float(value), where)
        case ("list", list() | tuple()) if all(isinstance(each, str) for each in value):
            return tuple(value)
        case _:
            raise ConfigError(where, f"{value!r} is not {_WORDS[setting.kind]}")


def _build(values: Mapping[str, object], sources: Mapping[str, str]) -> NodeConfig:
    sections: dict[str, object] = {}
    try:
        for section, section_type in _section_types().items():
            prefix = f"{section}."
            given = {key[len(prefix) :]: value for key, value in values.items() if key.startswith(prefix)}
            sections[section] = section_type(**given)
    except ConfigError as exc:
        source = sources.get(exc.where)
        raise ConfigError(f"{source}: {exc.where}" if source else exc.where, exc.problem) from None
    return NodeConfig(**typing.cast("dict[str, Any]", sections))
