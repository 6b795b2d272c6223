"""Batches, canonical keys, key groups, copiers, and serializers by type."""
