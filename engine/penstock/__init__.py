"""Penstock: stateful stream processing in Python with Apache Flink's semantics and no JVM."""
