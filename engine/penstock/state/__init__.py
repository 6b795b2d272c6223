"""Keyed and operator state, and the backends that hold it."""
