"""The MessagePack-RPC server: sessions, access, limits, streams. It knows no section of the statistics."""

from qudag_node.rpc.offers import Document, Offers
from qudag_node.rpc.server import RpcServer, check_settings
from qudag_node.rpc.tls import ServerTls, server_tls
from qudag_node.rpc.tokens import TokenStore

__all__ = ["Document", "Offers", "RpcServer", "ServerTls", "TokenStore", "check_settings", "server_tls"]
