"""Helpers that tests share: real services, fault injection, oracles."""
