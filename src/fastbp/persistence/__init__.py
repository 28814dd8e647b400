"""Save and load without pickle: safetensors, with the architecture as JSON in its header.

descriptions
    What a network, an optimizer or a schedule was built with, as plain values.
reading
    A file, open: its header, and tensors that are checked before they are read.
networks, training
    What stands in a file of a network, and of its training.
checkpoint
    A callback that saves.
"""

from .checkpoint import Checkpoint
from .descriptions import described
from .networks import load, save

__all__ = ["Checkpoint", "described", "load", "save"]
