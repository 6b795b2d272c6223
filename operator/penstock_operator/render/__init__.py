"""From a spec to what is to exist: configurations, command lines, Kubernetes manifests. Pure."""
