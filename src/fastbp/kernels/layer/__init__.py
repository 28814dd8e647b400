"""The products of a layer, and the way of the samples into panels."""
