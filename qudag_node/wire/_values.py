"""Frozen value classes for the wire, and a look at decoded values.

They behave as ``dataclass(frozen=True, slots=True)`` does and are declared the same way, but
importing ``dataclasses`` (and with it ``inspect`` and ``re``) costs a command more than the whole
wire, MessagePack included. Methods of a value must not use ``super()``: the class is built anew.
"""

from __future__ import annotations

from qudag_node.wire.errors import RemoteProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeGuard, TypeVar, dataclass_transform

    _T = TypeVar("_T")

    @dataclass_transform(frozen_default=True)
    def value(cls: type[_T], /) -> type[_T]:
        """Make a frozen, slotted class of the annotated fields, compared by its fields."""
        raise NotImplementedError

else:

    class _Value:
        __slots__ = ()

        def __init__(self, *args, **kwargs):
            if kwargs or len(args) != len(self._set):
                args = self._complete(args, kwargs)
            # The slots' own setters: __setattr__ refuses.
            for put, given in zip(self._set, args, strict=True):
                put(self, given)
            self.__post_init__()

        def _complete(self, args, kwargs):
            names = self.__match_args__
            positional = dict(zip(names, args, strict=False))
            given = self._defaults | positional | kwargs
            known = len(args) <= len(names) and given.keys() == set(names)
            if not known or positional.keys() & kwargs.keys():
                raise TypeError(f"{type(self).__name__} takes the fields {', '.join(names)}, each once")
            return [given[name] for name in names]

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
        made = type(cls.__name__, (_Value,), kept)
        made._set = tuple(getattr(made, name).__set__ for name in fields)
        return made


def is_map(decoded: object) -> TypeGuard[dict[str, object]]:
    """Tell whether a decoded value is a map. Its keys are text, or binary that no name equals."""
    return type(decoded) is dict


def is_list(decoded: object) -> TypeGuard[list[object]]:
    """Tell whether a decoded value is an array."""
    return type(decoded) is list


def as_map(decoded: object, what: str) -> dict[str, object]:
    """Return a decoded value that must be a map.

    Raises:
        RemoteProtocolError: it is none; ``what`` says which.
    """
    if not is_map(decoded):
        raise RemoteProtocolError(f"{what} is no map")
    return decoded
