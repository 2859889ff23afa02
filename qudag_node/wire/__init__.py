"""The RPC protocol both sides speak: framing, proofs, columns and deltas. No I/O, no clock, never async.

Names are loaded when they are first used: a command that asks one question over a Unix socket needs
neither proofs nor statistics, and its start-up is its imports.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qudag_node.peerid import PeerId, ed25519_key_of_certificate, peer_id_of, public_key_of
    from qudag_node.wire.addresses import NodeAddress, TcpAddress, TlsAddress, UnixAddress, parse_address
    from qudag_node.wire.auth import client_proof, node_proof, read_token, verify, write_token
    from qudag_node.wire.columns import COLUMN_TYPES, pack_column, pack_text, unpack_column, unpack_text
    from qudag_node.wire.errors import (
        AuthenticationError,
        ErrorCode,
        LocalProtocolError,
        RemoteProtocolError,
        RpcError,
        WireError,
    )
    from qudag_node.wire.framing import (
        CLIENT_LIMITS,
        HANDSHAKE_BYTES,
        SERVER_LIMITS,
        Decoder,
        Limits,
        Message,
        Notification,
        Packed,
        Request,
        Response,
        encode,
        encode_parts,
        pack,
    )
    from qudag_node.wire.methods import METHODS, NOTIFICATIONS, VERSIONS, Method, Role
    from qudag_node.wire.paths import (
        DEFAULT_NAME,
        check_name,
        data_dir,
        running_link,
        runtime_dir,
        socket_path,
    )
    from qudag_node.wire.peer_columns import PEER_NUMBERS, PEER_TEXTS, WHOLE_OR_UNKNOWN
    from qudag_node.wire.rows import PeerRows
    from qudag_node.wire.session import (
        ClientSession,
        Credential,
        Event,
        Failed,
        NodeCard,
        Notified,
        Ready,
        Reply,
        ServerHandshake,
        SessionState,
    )
    from qudag_node.wire.stats import STATS_SCHEMA, StatsGap, StatsMirror, to_json

_NAMES_OF = {
    "qudag_node.peerid": "PeerId ed25519_key_of_certificate peer_id_of public_key_of",
    "addresses": "NodeAddress TcpAddress TlsAddress UnixAddress parse_address",
    "auth": "client_proof node_proof read_token verify write_token",
    "columns": "COLUMN_TYPES pack_column pack_text unpack_column unpack_text",
    "errors": "AuthenticationError ErrorCode LocalProtocolError RemoteProtocolError RpcError WireError",
    "framing": (
        "CLIENT_LIMITS HANDSHAKE_BYTES SERVER_LIMITS "
        "Decoder Limits Message Notification Packed Request Response encode encode_parts pack"
    ),
    "methods": "METHODS NOTIFICATIONS VERSIONS Method Role",
    "paths": "DEFAULT_NAME check_name data_dir running_link runtime_dir socket_path",
    "peer_columns": "PEER_NUMBERS PEER_TEXTS WHOLE_OR_UNKNOWN",
    "rows": "PeerRows",
    "session": (
        "ClientSession Credential Event Failed NodeCard Notified Ready Reply ServerHandshake SessionState"
    ),
    "stats": "STATS_SCHEMA StatsGap StatsMirror to_json",
}
_MODULE_OF = {
    name: module if "." in module else f"{__name__}.{module}"
    for module, names in _NAMES_OF.items()
    for name in names.split()
}

__all__ = [
    "CLIENT_LIMITS",
    "COLUMN_TYPES",
    "DEFAULT_NAME",
    "HANDSHAKE_BYTES",
    "METHODS",
    "NOTIFICATIONS",
    "PEER_NUMBERS",
    "PEER_TEXTS",
    "SERVER_LIMITS",
    "STATS_SCHEMA",
    "VERSIONS",
    "WHOLE_OR_UNKNOWN",
    "AuthenticationError",
    "ClientSession",
    "Credential",
    "Decoder",
    "ErrorCode",
    "Event",
    "Failed",
    "Limits",
    "LocalProtocolError",
    "Message",
    "Method",
    "NodeAddress",
    "NodeCard",
    "Notification",
    "Notified",
    "Packed",
    "PeerId",
    "PeerRows",
    "Ready",
    "RemoteProtocolError",
    "Reply",
    "Request",
    "Response",
    "Role",
    "RpcError",
    "ServerHandshake",
    "SessionState",
    "StatsGap",
    "StatsMirror",
    "TcpAddress",
    "TlsAddress",
    "UnixAddress",
    "WireError",
    "check_name",
    "client_proof",
    "data_dir",
    "ed25519_key_of_certificate",
    "encode",
    "encode_parts",
    "node_proof",
    "pack",
    "pack_column",
    "pack_text",
    "parse_address",
    "peer_id_of",
    "public_key_of",
    "read_token",
    "running_link",
    "runtime_dir",
    "socket_path",
    "to_json",
    "unpack_column",
    "unpack_text",
    "verify",
    "write_token",
]


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # `from` fills sys.modules and this package's namespace with the submodule.
    room = __import__(module, fromlist=[name])
    found: object = getattr(room, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
