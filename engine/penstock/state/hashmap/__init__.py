"""Keyed state as Python objects, with snapshots that neither stop the stream nor tear what it changes."""
