"""How batches travel between tasks: partitioners, credits, frames over TCP."""
