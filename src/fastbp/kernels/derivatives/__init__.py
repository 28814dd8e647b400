"""Passes for derivatives of outputs and cost."""
