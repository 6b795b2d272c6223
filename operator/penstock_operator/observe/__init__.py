"""Answers, in a cluster, what a pass asks: from what the watches delivered, from JobManagers, from the store."""
