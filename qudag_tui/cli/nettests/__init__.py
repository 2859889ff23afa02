"""``qudag network test …``: starts tests on a node, shows how they go, prints what they found."""
