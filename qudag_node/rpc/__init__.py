"""The MessagePack-RPC server: sessions, access, limits, streams. It knows no section of the statistics."""

from qudag_node.rpc.offers import Document, Offers
from qudag_node.rpc.server import RpcServer, ServerTls
from qudag_node.rpc.tokens import TokenStore

__all__ = ["Document", "Offers", "RpcServer", "ServerTls", "TokenStore"]
