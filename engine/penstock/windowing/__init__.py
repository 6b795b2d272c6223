"""Window assigners, triggers and the window operator."""
