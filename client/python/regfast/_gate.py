# SPDX-License-Identifier: MIT
"""Handles of the library that threads share."""

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class HasLocks(Protocol):
    def _renew(self) -> None:
        """In a child process: who had a lock, or was inside, is a thread of the parent's."""


_having_locks: "weakref.WeakSet[HasLocks]" = weakref.WeakSet()


def renew_in_children(owner: HasLocks) -> None:
    _having_locks.add(owner)


def _renew_all() -> None:
    for owner in list(_having_locks):
        owner._renew()


os.register_at_fork(after_in_child=_renew_all)


class Gate:
    """Of what is closed while other threads may use it: nobody enters any more, and closing waits
    for who is inside. `is_exclusive`: one at a time."""

    def __init__(self, what: str, *, is_exclusive: bool) -> None:
        self._what = what
        self._changed = threading.Condition()
        self._is_exclusive = is_exclusive
        self._inside = 0
        self._is_closed = False
        renew_in_children(self)

    def _renew(self) -> None:
        self._changed = threading.Condition()
        if self._is_exclusive and self._inside > 0:
            self._is_closed = True  # it is in the middle of something for ever: left as it is
        self._inside = 0

    @contextmanager
    def enter(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._is_exclusive or self._inside == 0)
            if self._is_closed:
                raise ValueError(f"{self._what} is closed")
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def close(self) -> bool:
        """Whether it was open."""
        with self._changed:
            was_closed, self._is_closed = self._is_closed, True
            self._changed.wait_for(lambda: self._inside == 0)
            return not was_closed
