"""The network itself: identity, links and their frames, gossip, routing, peer exchange."""
