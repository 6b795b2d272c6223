"""What is to be done about a FlinkJob: pure functions of what was seen, for both worlds."""
