"""Journal, metadata, coordinator, retention: how state becomes durable."""
