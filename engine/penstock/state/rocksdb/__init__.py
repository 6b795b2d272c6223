"""Keyed state in RocksDB (rocksdict), with a bounded overlay of live objects over it."""
