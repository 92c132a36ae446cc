"""Bytes of what a worker holds: the base, the state of optimizers."""
