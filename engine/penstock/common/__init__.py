"""Public values: types, rows, time, configuration, watermark strategy. Mirrors pyflink.common."""
