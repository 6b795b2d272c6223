"""What users write and what it means: the specs, their values, what is wrong with them and what changed. Pure."""
