# SPDX-License-Identifier: MIT
"""Handles of the library that threads share."""

import os
import threading
import weakref
from collections.abc import Callable, Iterator
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
    for who is inside. `is_exclusive`: one at a time. A signal's handler runs in the middle of what
    its thread does, and must not wait for that."""

    def __init__(self, what: str, *, is_exclusive: bool) -> None:
        self._what = what
        self._changed = threading.Condition()
        self._is_exclusive = is_exclusive
        self._inside: list[int] = []  # threads
        self._is_closed = False
        self._end: Callable[[], None] | None = None  # left to the last one inside
        renew_in_children(self)

    def _renew(self) -> None:
        ours = [thread for thread in self._inside if thread == threading.get_ident()]
        self._changed = threading.Condition()
        if self._is_exclusive and self._inside != ours:
            self._is_closed = True  # it is in the middle of something for ever: left as it is
        self._inside = ours

    @contextmanager
    def enter(self) -> Iterator[None]:
        thread = threading.get_ident()
        with self._changed:
            if self._is_exclusive and thread in self._inside:
                raise RuntimeError(f"{self._what} is in use by what this thread was interrupted in")
            self._changed.wait_for(lambda: not self._is_exclusive or not self._inside)
            if self._is_closed:
                raise ValueError(f"{self._what} is closed")
            self._inside.append(thread)
        try:
            yield
        finally:
            self._leave(thread)

    def _leave(self, thread: int) -> None:
        end = None
        with self._changed:
            self._inside.remove(thread)
            self._changed.notify_all()
            if not self._inside:
                end, self._end = self._end, None
        if end is not None:
            end()

    def close(self, end: Callable[[], None]) -> None:
        """Calls `end` when nobody is inside: that may be later, if this thread is. The first time
        only."""
        with self._changed:
            is_inside = threading.get_ident() in self._inside
            is_first = not self._is_closed
            self._is_closed = True
            if is_first and is_inside:
                self._end = end
            if not is_inside:
                self._changed.wait_for(lambda: not self._inside)
        if is_first and not is_inside:
            end()
