"""How a window reaches a node: finding it, proving who both are, calling, subscribing, coming back.

``connection`` is synchronous and light, for commands; ``monitor`` runs on asyncio and stays connected.
Import from the modules: a command must not pay for asyncio.
"""
