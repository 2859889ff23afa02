"""``stats``, ``peers`` and ``history``."""

from __future__ import annotations

from qudag_node.rpc.caller import Caller
from qudag_node.rpc.offers import Document, OffersHistory, OffersStatistics
from qudag_node.rpc.params import Params
from qudag_node.wire.errors import ErrorCode, RpcError
from qudag_node.wire.framing import Packed

__all__ = ["history", "peers", "stats"]

_MAX_SERIES = 256
_MAX_SECTIONS = 32


def stats(node: OffersStatistics, params: Params, _caller: Caller) -> Document | Packed:
    """Return the statistics, or some sections of them."""
    sections = params.texts("sections", most=_MAX_SECTIONS)
    if sections is None:
        return node.packed_statistics()
    document = node.statistics()
    unknown = [section for section in sections if section not in document]
    if unknown:
        raise RpcError(
            ErrorCode.BAD_REQUEST, f"no section {unknown[0]!r}", f"there are: {', '.join(document)}"
        )
    return {name: document[name] for name in dict.fromkeys(("schema", *sections))}


def peers(node: OffersStatistics, _params: Params, _caller: Caller) -> Document:
    """Return the table of peers alone."""
    return {"peers": node.statistics()["peers"]}


def history(node: OffersHistory, params: Params, _caller: Caller) -> Document:
    """Return points of series, or the names of all."""
    return node.history(
        params.texts("series", most=_MAX_SERIES),
        params.optional_number("from_unix_s"),
        params.optional_number("to_unix_s"),
        params.optional_number("step_s", least=0),
    )
