"""How others are spoken with: the Kubernetes API, JobManagers, the store. Every call has a time-out."""
