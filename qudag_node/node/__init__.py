"""The node as a program: its composition root, files, log and signals."""
