"""Several networks that answer together: their mean, how far they differ, and what rows they have not seen tell."""
