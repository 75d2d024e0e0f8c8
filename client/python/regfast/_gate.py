# SPDX-License-Identifier: MIT
"""Handles of the library that threads share."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """Of what is closed while other threads may use it: nobody enters any more, and closing waits
    for who is inside. `is_exclusive`: one at a time."""

    def __init__(self, what: str, *, is_exclusive: bool) -> None:
        self._what = what
        self._changed = threading.Condition()
        self._is_exclusive = is_exclusive
        self._inside = 0
        self._is_closed = False

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
