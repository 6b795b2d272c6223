"""What a program is before it runs: stream graph, job graph, chains, fingerprint."""
