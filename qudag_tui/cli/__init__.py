"""``qudag``: the command line. Thin: it parses, asks a node, and prints what a view returns."""
