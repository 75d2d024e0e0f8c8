# SPDX-License-Identifier: MIT
"""Asking registries: regfast_open(3), regfast_match(3), regfast_members(3), regfast_groups(3)."""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from . import _library
from ._gate import Gate
from ._library import bytes_of, call, key_of, lib, text_of
from ._values import Group, GroupList, MemberList, Owner
from ._values import c_keys_of, member_list_of, owner_of, owners_of_count
from ._watch import Watch


class Client:
    """A client of the registries "HOST:PORT,HOST:PORT,...".

    It connects at the first call, to a registry that answers; a call whose connection is lost is
    tried once more, elsewhere. Times are in seconds, None being the library's default: time-outs of
    connecting to one address, and of a whole call. `in_order`: registries are tried in the order in
    which they are given, where clients else begin with a random one. `discover`: the registries
    that the group `registry-group` names are used too. `background`: a thread of the library's
    keeps what is watched current, which else only calls do. `heartbeat`: while something is
    watched, ask so often whether the registry is still there. Any thread may use it; without
    `background` calls wait for each other. A child process of os.fork goes on with a connection of
    its own; a client with `background`, or that a thread was just using, is closed there and
    nothing else.

    Close it, or use it in a `with` statement.
    """

    def __init__(
        self,
        registries: str,
        *,
        connect_timeout: float | None = None,
        call_timeout: float | None = None,
        in_order: bool = False,
        discover: bool = False,
        background: bool = False,
        heartbeat: float | None = None,
    ) -> None:
        self._handle = ctypes.c_void_p()
        self._gate = Gate("the client", is_exclusive=not background)
        self._watches: set[Watch] = set()
        options = _library.Options(
            size=ctypes.sizeof(_library.Options),
            connect_timeout_ms=milliseconds(connect_timeout, "connect_timeout"),
            call_timeout_ms=milliseconds(call_timeout, "call_timeout"),
            in_order=in_order,
            discover=discover,
            background=background,
            heartbeat_ms=milliseconds(heartbeat, "heartbeat"),
        )
        call("regfast_open", bytes_of(registries, "registries"), options, ctypes.byref(self._handle))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self.close()

    def close(self) -> None:
        """Ends the connection and all watches; calls that are under way end first, also one that a
        signal's handler has interrupted. May be called again."""
        self._gate.close(self._end)

    def _end(self) -> None:
        for watch in self._watches:
            watch._forget()
        self._watches.clear()
        lib.regfast_close(self._handle)
        self._handle = ctypes.c_void_p()

    @contextmanager
    def _open(self) -> Iterator[ctypes.c_void_p]:
        with self._gate.enter():
            yield self._handle

    @property
    def server(self) -> str:
        """The registry of the last answer, "" before the first."""
        with self._open() as handle:
            return text_of(lib.regfast_server(handle))

    def match(self, group: str, key: bytes | str) -> Owner:
        """The instance of the group that has the key.

        Raises NotFoundError if there is no such group, or nobody in it gets keys.
        """
        owner = _library.COwner()
        data = key_of(key)
        with self._open() as handle:
            call("regfast_match", handle, bytes_of(group, "group"), data, len(data), owner)
        return owner_of(owner)

    def match_many(self, group: str, keys: Sequence[bytes | str]) -> list[Owner]:
        """The same for each of the keys, in few round trips."""
        c_keys = c_keys_of(keys)
        owners = (_library.COwner * len(c_keys))()
        with self._open() as handle:
            call(
                "regfast_match_many", handle, bytes_of(group, "group"), c_keys, len(c_keys), owners
            )
        return [owner_of(owner) for owner in owners]

    def owners(self, group: str, key: bytes | str, count: int) -> list[Owner]:
        """The first `count` distinct instances for the key: the owner, then who would have the key
        without those before. Fewer if there are fewer."""
        owners = owners_of_count(count)
        data = key_of(key)
        with self._open() as handle:
            found = call(
                "regfast_owners",
                handle,
                bytes_of(group, "group"),
                data,
                len(data),
                max(count, 0),
                owners,
            )
        return [owner_of(owner) for owner in owners[:found]]

    def members(self, group: str) -> MemberList:
        """All members of the group."""
        c_list = ctypes.POINTER(_library.CMemberList)()
        with self._open() as handle:
            call("regfast_members", handle, bytes_of(group, "group"), ctypes.byref(c_list))
        return member_list_of(c_list)

    def groups(self) -> GroupList:
        """All groups."""
        c_list = ctypes.POINTER(_library.CGroupList)()
        with self._open() as handle:
            call("regfast_groups", handle, ctypes.byref(c_list))
        try:
            read = c_list.contents
            groups = tuple(
                Group(text_of(g.name), g.members_count, g.alive_count, g.version, g.digest)
                for g in read.groups[: read.count]
            )
            return GroupList(read.version, read.digest, groups)
        finally:
            lib.regfast_group_list_free(c_list)

    def info(self) -> dict[str, str | int]:
        """What the registry says of itself: version, digest, engine, placement and more."""
        c_list = ctypes.POINTER(_library.CInfoList)()
        with self._open() as handle:
            call("regfast_info", handle, ctypes.byref(c_list))
        try:
            read = c_list.contents
            return {
                text_of(e.name): text_of(e.text) if e.type == _library.INFO_TEXT else int(e.number)
                for e in read.entries[: read.count]
            }
        finally:
            lib.regfast_info_list_free(c_list)

    def watch(self, group: str) -> Watch:
        """Keeps what a registry knows of the group in this process, from now on. Returns at once;
        Watch.wait waits until something is known. The group need not exist."""
        return Watch(self, group)

    def ping(self) -> float:
        """The seconds of a round trip."""
        time_ns = ctypes.c_uint64()
        with self._open() as handle:
            call("regfast_ping", handle, ctypes.byref(time_ns))
        return float(time_ns.value) / 1e9


def milliseconds(seconds: float | None, what: str) -> int:
    """For an option of which 0 is the default."""
    if seconds is None:
        return 0
    if not 0.001 <= seconds <= 86400:
        raise ValueError(f"{what} {seconds} s: allowed 0.001..86400")
    return int(seconds * 1000)
