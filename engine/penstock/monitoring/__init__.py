"""What is measured, by the names that Flink gives it: for REST, and as Prometheus text over HTTP."""
