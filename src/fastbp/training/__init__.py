"""The training loop, its kinds of steps, and what watches it."""
