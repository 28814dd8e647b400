"""Tables of twins that say where one is missing."""


class Twins(dict):
    """Twins of the rows of a catalogue, by name."""

    def __missing__(self, name):
        raise LookupError(f"{name} has no twin: write one into this table of tests/naive, {self.what}")

    def __init__(self, what, twins):
        super().__init__(twins)
        self.what = what
