"""The Kubernetes operator that runs FlinkJobs."""
