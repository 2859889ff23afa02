"""Pure functions: data and a size in, text out. No clock, no I/O, never Textual."""
