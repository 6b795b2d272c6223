"""A real single-node Kubernetes for tests, out of its real parts, without Docker, kind or any image registry.

    python -m penstock.testing.kubernetes build   what it is made of, once (`make services` does it)
    python -m penstock.testing.kubernetes up      a cluster of one's own, until Ctrl-C

Tests get theirs from the fixtures in `tests/cluster/conftest.py`. The node lives in namespaces of its own, which
end with the process that started it, however that ends. Never used by product code; knows nothing of the operator.
"""
