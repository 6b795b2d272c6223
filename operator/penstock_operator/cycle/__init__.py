"""The pass over one FlinkJob, and the task that repeats it; the same in a cluster and on this machine."""
