"""Ids, errors, clock, retry, metrics and logs: what everything uses and what knows nothing of streams."""
