"""A JobManager and TaskManagers on this machine."""
