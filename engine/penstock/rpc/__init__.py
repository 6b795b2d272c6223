"""Authenticated messages between JobManager, TaskManagers and workers."""
