"""What users write. Mirrors pyflink.datastream."""
