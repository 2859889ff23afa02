"""Frozen value classes for the wire, and a look at decoded values.

They behave as ``dataclass(frozen=True, slots=True)`` does and are declared the same way, but
importing ``dataclasses`` (and with it ``inspect`` and ``re``) costs a command more than the whole
wire, MessagePack included. Methods of a value must not use ``super()``: the class is built anew.
"""

from __future__ import annotations

from qudag_node.wire.errors import RemoteProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeGuard, TypeVar, dataclass_transform

    _T = TypeVar("_T")

    @dataclass_transform(frozen_default=True)
    def value(cls: type[_T], /) -> type[_T]:
        """Make a frozen, slotted class of the annotated fields, compared by its fields."""
        raise NotImplementedError

else:

    class _Value:
        __slots__ = ()

        def __init__(self, *args, **kwargs):
            names = self.__match_args__
            positional = dict(zip(names, args, strict=False))
            given = self._defaults | positional | kwargs
            known = len(args) <= len(names) and given.keys() == set(names)
            if not known or positional.keys() & kwargs.keys():
                raise TypeError(f"{type(self).__name__} takes the fields {', '.join(names)}, each once")
            for name in names:
                object.__setattr__(self, name, given[name])
            self.__post_init__()

        def __post_init__(self):
            """Nothing to check."""

        def __setattr__(self, name, _value):
            raise AttributeError(f"{type(self).__name__}.{name} is frozen")

        def __eq__(self, other):
            if type(other) is not type(self):
                return NotImplemented
            return all(getattr(self, name) == getattr(other, name) for name in self.__match_args__)

        def __hash__(self):
            return hash((type(self), *(getattr(self, name) for name in self.__match_args__)))

        def __reduce__(self):
            return type(self), tuple(getattr(self, name) for name in self.__match_args__)

        def __repr__(self):
            fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
            return f"{type(self).__name__}({fields})"

    def value(cls):
        """Make a frozen, slotted class of the annotated fields, compared by its fields."""
        fields = tuple(cls.__annotations__)
        kept = {k: v for k, v in vars(cls).items() if k not in (*fields, "__dict__", "__weakref__")}
        kept |= {
            "__slots__": fields,
            "__match_args__": fields,
            "_defaults": {name: vars(cls)[name] for name in fields if name in vars(cls)},
        }
        return type(cls.__name__, (_Value,), kept)


def as_map(decoded: object, what: str) -> dict[str, object]:
    """Return a decoded value as a map; its keys are text, or binary that no name equals.

    Raises:
        RemoteProtocolError: it is no map; ``what`` says which.
    """
    if not _is_map(decoded):
        raise RemoteProtocolError(f"{what} is no map")
    return decoded


def _is_map(decoded: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(decoded, dict)
