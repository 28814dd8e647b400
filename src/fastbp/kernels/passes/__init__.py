"""What one call does with the samples: forward, a step, an epoch, a search along lines."""
