"""The RPC protocol both sides speak: framing, proofs, columns and deltas. No I/O, no clock, never async."""
