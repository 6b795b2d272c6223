"""Carries out, in a cluster, what a pass decided."""
