"""Bytes in, bytes out: no I/O, no event loop, no clock."""
