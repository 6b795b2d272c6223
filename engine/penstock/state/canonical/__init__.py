"""The canonical savepoint: one Parquet table per state, written and read by both backends, and by anybody else."""
