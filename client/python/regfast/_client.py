# SPDX-License-Identifier: MIT
"""Asking registries: regfast_open(3), regfast_match(3), regfast_members(3), regfast_groups(3)."""

import ctypes
import enum
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from . import _library
from ._library import bytes_of, call, key_of, lib, text_of


class MemberState(enum.IntEnum):
    """Whether a member gets keys: alive, leaving and protected ones do."""

    ALIVE = 0
    LEAVING = 1
    LEFT = 2
    FAILED = 3
    HELD = 4
    PROTECTED = 5
    DRAINING = 6
    UNKNOWN = -1  # of a newer library

    @classmethod
    def _missing_(cls, value: object) -> "MemberState":
        return cls.UNKNOWN


@dataclass(frozen=True, slots=True)
class Owner:
    """An instance that is given a key."""

    id: str
    addr: str  # as the instance registered it, usually HOST:PORT
    version: int  # of the group on the registry that answered


@dataclass(frozen=True, slots=True)
class Member:
    id: str
    addr: str
    replicas: int  # weight
    state: MemberState


@dataclass(frozen=True, slots=True)
class MemberList:
    """All members of a group at one version, remembered ones too, by id."""

    version: int
    digest: int  # equal on all registries that agree
    members: tuple[Member, ...]

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members)


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    members_count: int  # remembered ones included
    alive_count: int  # get keys
    version: int
    digest: int


@dataclass(frozen=True, slots=True)
class GroupList:
    """All groups of a registry, by name."""

    version: int  # of the registry's whole catalog
    digest: int  # equal digests mean equal answers, on any registry
    groups: tuple[Group, ...]

    def __len__(self) -> int:
        return len(self.groups)

    def __iter__(self) -> Iterator[Group]:
        return iter(self.groups)


def owner_of(owner: _library.COwner) -> Owner:
    return Owner(text_of(owner.id), text_of(owner.addr), owner.version)


class Client:
    """A client of the registries "HOST:PORT,HOST:PORT,...".

    It connects at the first call, to a registry that answers; a call whose connection is lost is
    tried once more, elsewhere. Time-outs are in seconds: of connecting to one address, and of a
    whole call; None is the library's default. `in_order`: registries are tried in the order in
    which they are given, where clients else begin with a random one. `discover`: the registries
    that the group `registry-group` names are used too. Any thread may use it; calls wait for each
    other.

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
    ) -> None:
        self._handle = ctypes.c_void_p()
        self._lock = threading.Lock()
        options = _library.Options(
            size=ctypes.sizeof(_library.Options),
            connect_timeout_ms=milliseconds(connect_timeout, "connect_timeout"),
            call_timeout_ms=milliseconds(call_timeout, "call_timeout"),
            in_order=in_order,
            discover=discover,
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
        """Ends the connection. May be called again."""
        with self._lock:
            lib.regfast_close(self._handle)
            self._handle = ctypes.c_void_p()

    @contextmanager
    def _open(self) -> Iterator[ctypes.c_void_p]:
        with self._lock:
            if not self._handle:
                raise ValueError("the client is closed")
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
        data = [key_of(key) for key in keys]
        c_keys = (_library.CKey * len(data))(*((key, len(key)) for key in data))
        owners = (_library.COwner * len(data))()
        with self._open() as handle:
            call("regfast_match_many", handle, bytes_of(group, "group"), c_keys, len(data), owners)
        return [owner_of(owner) for owner in owners]

    def owners(self, group: str, key: bytes | str, count: int) -> list[Owner]:
        """The first `count` distinct instances for the key: the owner, then who would have the key
        without those before. Fewer if there are fewer."""
        owners = (_library.COwner * max(count, 1))()
        data = key_of(key)
        with self._open() as handle:
            found = call(
                "regfast_owners", handle, bytes_of(group, "group"), data, len(data), max(count, 0), owners
            )
        return [owner_of(owner) for owner in owners[:found]]

    def members(self, group: str) -> MemberList:
        """All members of the group."""
        c_list = ctypes.POINTER(_library.CMemberList)()
        with self._open() as handle:
            call("regfast_members", handle, bytes_of(group, "group"), ctypes.byref(c_list))
        try:
            read = c_list.contents
            members = tuple(
                Member(text_of(m.id), text_of(m.addr), m.replicas, MemberState(m.state))
                for m in read.members[: read.count]
            )
            return MemberList(read.version, read.digest, members)
        finally:
            lib.regfast_member_list_free(c_list)

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
