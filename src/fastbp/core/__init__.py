"""What everything above the kernels may know of a network."""
