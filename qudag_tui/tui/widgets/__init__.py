"""Thin widgets on Textual's Line API: lines in, strips out, and only what changed is painted."""
