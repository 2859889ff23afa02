"""The state of the monitor and the one function that changes it. No I/O, no Textual, no Rich, no clock."""
