"""Activations and costs, built-in and of the user's own."""
