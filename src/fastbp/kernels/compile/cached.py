"""A property that is computed once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")


class cached_property(Generic[T]):
    """What `functools.cached_property` is from Python 3.12 on: without a lock.

    That of Python 3.11 is one for all objects of a class, and a process that is forked while another thread holds it
    finds it taken for ever. Two threads may compute the same here; both get what is the same.
    """

    def __init__(self, function: Callable[[Any], T]) -> None:
        self.function, self.__doc__ = function, function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        """Remember the name under which the value is kept."""
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> Self | T:
        """Compute the value, and keep it in the object's dictionary, where it is found first from then on."""
        if instance is None:
            return self
        value = instance.__dict__[self.name] = self.function(instance)
        return value
