"""The operator as a process in a cluster: it watches, leads, wakes the task of each FlinkJob, and says how it is."""
