"""The world of processes on this machine: FlinkJobs without a cluster, run, upgraded and healed as in one."""
