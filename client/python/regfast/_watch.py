# SPDX-License-Identifier: MIT
"""Watching a group and asking its ring in this process: regfast_watch(3), regfast_local_match(3)."""

import ctypes
import enum
import errno
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from . import _library
from ._gate import Gate, renew_in_children
from ._library import bytes_of, call, error_of, key_of, lib, local, text_of
from ._values import MemberList, Owner, c_keys_of, member_list_of, owner_of, owners_of_count

if TYPE_CHECKING:
    from ._client import Client

SLICE_S = 0.5  # of waits: a signal is handled by Python in between


class WatchState(enum.IntEnum):
    EMPTY = 0  # nothing is known yet
    LIVE = 1  # what is known is what a registry knew a moment ago
    STALE = 2  # no registry has proved for a while that it still is so


@dataclass(frozen=True, slots=True)
class WatchStatus:
    """What a watch knows, and how far it is to be trusted."""

    state: WatchState
    version: int  # of the group on `server`
    digest: int
    age: float  # seconds since a registry has proved that this is what it knows
    updates: int  # times that what is known was replaced
    full_copies: int  # times that all was taken anew, as a digest was not equal
    refused: int  # updates not applied, as nobody would have been left who had not left
    members_count: int  # remembered ones included
    alive_count: int  # get keys
    server: str  # the registry that told it, "" before the first


class Watch:
    """A group of Client.watch, whose ring is kept in this process.

    match, match_many and owners ask nobody: they go on answering when all registries are gone, and
    `status` tells how fresh the answers are. Any thread may use it.

    It ends when it is closed, by `with` or `close`, and with its client.
    """

    def __init__(self, client: "Client", group: str) -> None:
        self._client = client
        self._gate = Gate("the watch", is_exclusive=False)
        self._lock = threading.RLock()  # of the reader: of one thread, and handlers within it
        self._handle = ctypes.c_void_p()
        self._reader = ctypes.c_void_p()
        self.group = group
        renew_in_children(self)
        with client._open() as handle:
            call("regfast_watch", handle, bytes_of(group, "group"), ctypes.byref(self._handle))
            code = lib.regfast_reader_new(self._handle, ctypes.byref(self._reader))
            if code < 0:
                lib.regfast_watch_close(self._handle)
                raise error_of(code, text_of(lib.regfast_strerror(code)))
            client._watches.add(self)

    def _renew(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the watch, as Client.close. May be called again."""
        self._gate.close(self._end)

    def _end(self) -> None:
        try:
            with self._client._open():
                handle, self._handle = self._handle, ctypes.c_void_p()
                self._forget()
                lib.regfast_watch_close(handle)
                self._client._watches.discard(self)
        except (ValueError, RuntimeError):
            pass  # its client is closed, and it with that; or interrupted, and it ends with that

    def _forget(self) -> None:
        """Before its handle ends."""
        with self._lock:
            lib.regfast_reader_free(self._reader)
            self._reader = ctypes.c_void_p()

    @contextmanager
    def _open(self) -> Iterator[ctypes.c_void_p]:
        with self._gate.enter(), self._client._open():
            yield self._handle

    @property
    def status(self) -> WatchStatus:
        read = _library.CWatchStatus(size=ctypes.sizeof(_library.CWatchStatus))
        with self._open() as handle:
            code = lib.regfast_watch_status(handle, read)
        if code < 0:
            raise error_of(code, text_of(lib.regfast_strerror(code)))
        return WatchStatus(
            state=WatchState(read.state),
            version=read.version,
            digest=read.digest,
            age=read.age_ms / 1000,
            updates=read.updates,
            full_copies=read.full_copies,
            refused=read.refused,
            members_count=read.members_count,
            alive_count=read.alive_count,
            server=text_of(read.server),
        )

    def wait(self, updates_seen: int = 0, timeout: float = 10.0) -> WatchStatus:
        """Waits until the status has another `updates` than that: until anything is known, if it is
        0. Raises UnavailableError if that takes longer, with the reason."""
        deadline = time.monotonic() + timeout
        while True:
            left = max(0.0, deadline - time.monotonic())
            try:
                with self._open() as handle:
                    call("regfast_watch_wait", handle, updates_seen, int(min(left, SLICE_S) * 1000))
                return self.status
            except _library.Error as error:
                if error.code != -errno.ETIMEDOUT or left <= SLICE_S:
                    raise

    def members(self) -> MemberList:
        """All members, as they are known here."""
        c_list = ctypes.POINTER(_library.CMemberList)()
        with self._open() as handle:
            call("regfast_watch_members", handle, ctypes.byref(c_list))
        return member_list_of(c_list)

    def _ask(self, function: str, *arguments: object) -> int:
        with self._lock:
            if not self._reader:
                raise ValueError("the watch is closed")
            code: int = getattr(local, function)(self._reader, *arguments)
        if code == -errno.EAGAIN:
            raise error_of(code, f"group '{self.group}': nothing is known of it yet")
        if code == _library.ENOTFOUND:
            raise error_of(code, f"group '{self.group}': it has no instance that gets keys")
        if code < 0:
            raise error_of(code, text_of(lib.regfast_strerror(code)))
        return code

    def match(self, key: bytes | str) -> Owner:
        """The instance that has the key. Raises NotFoundError if nobody gets keys, and Error with
        the code -EAGAIN before anything is known."""
        owner = _library.COwner()
        data = key_of(key)
        self._ask("regfast_local_match", data, len(data), owner)
        return owner_of(owner)

    def match_many(self, keys: Sequence[bytes | str]) -> list[Owner]:
        """The same for each of the keys, all of one version."""
        c_keys = c_keys_of(keys)
        owners = (_library.COwner * len(c_keys))()
        self._ask("regfast_local_match_many", c_keys, len(c_keys), owners)
        return [owner_of(owner) for owner in owners]

    def owners(self, key: bytes | str, count: int) -> list[Owner]:
        """As Client.owners."""
        owners = owners_of_count(count)
        data = key_of(key)
        found = self._ask("regfast_local_owners", data, len(data), max(count, 0), owners)
        return [owner_of(owner) for owner in owners[:found]]
