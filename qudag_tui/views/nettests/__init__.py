"""Results of network tests as text, CSV and comparisons. Pure: the document in, lines out."""
