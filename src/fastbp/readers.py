"""Networks out of other libraries' files and objects, read without their code: `fastbp.from_torch` and its like."""
