"""What runs inside a task: operators, chains, timers, watermarks."""
