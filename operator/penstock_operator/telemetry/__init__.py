"""What whoever runs the operator sees of it: metrics for Prometheus, and logs. Called by all, knows nobody."""
