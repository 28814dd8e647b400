"""Derivatives of outputs and cost, and what they tell: methods of `Network`."""
