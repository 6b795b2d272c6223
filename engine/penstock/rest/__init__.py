"""The Flink REST v1 contract: server and client."""
