# SPDX-License-Identifier: MIT
"""What calls answer, and how it is made of what the library gives."""

import ctypes
import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from . import _library
from ._library import key_of, lib, text_of


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


def member_list_of(c_list: "ctypes._Pointer[_library.CMemberList]") -> MemberList:
    """Frees it."""
    try:
        read = c_list.contents
        members = tuple(
            Member(text_of(m.id), text_of(m.addr), m.replicas, MemberState(m.state))
            for m in read.members[: read.count]
        )
        return MemberList(read.version, read.digest, members)
    finally:
        lib.regfast_member_list_free(c_list)


def owners_of_count(count: int) -> "ctypes.Array[_library.COwner]":
    """Room for as many as a call that takes `count` may give; others are refused by the library."""
    return (_library.COwner * min(max(count, 1), _library.OWNERS_MAX))()


def c_keys_of(keys: Sequence[bytes | str]) -> "ctypes.Array[_library.CKey]":
    """It keeps the bytes to which it points."""
    if isinstance(keys, str):
        raise TypeError("expected several keys, and this is one: a str")
    return (_library.CKey * len(keys))(*((data, len(data)) for data in map(key_of, keys)))
