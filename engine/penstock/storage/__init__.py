"""The ObjectStore protocol and its three implementations: memory, files, S3."""
