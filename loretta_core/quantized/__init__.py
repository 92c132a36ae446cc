"""Frozen bases in few bits: their formats, and the linear layer that trains through them."""
