"""Drives one job: placement, checkpoints, failures, recovery."""
