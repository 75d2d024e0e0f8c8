# SPDX-License-Identifier: MIT
"""libregfast by ctypes: regfast.h as Python sees it, and its errors. The tests hold every struct and
constant here to what a C compiler makes of the header."""

import ctypes
import ctypes.util
import errno
import os
from ctypes import POINTER, Structure, c_char, c_char_p, c_int, c_size_t, c_uint32, c_uint64
from ctypes import c_void_p
from typing import Any

ERROR_SIZE = 256
NAME_SIZE = 256
OWNERS_MAX = 1024
EMALFORMED = -5000
EVERSION = -5002
ELIMIT = -5003
ENOTFOUND = -5005
EUNAVAILABLE = -5006
EUNSUPPORTED = -5007
INFO_TEXT = 0
INFO_U64 = 1


class Options(Structure):
    _fields_ = [
        ("size", c_size_t),
        ("connect_timeout_ms", c_uint32),
        ("call_timeout_ms", c_uint32),
        ("background", c_uint32),
        ("in_order", c_uint32),
        ("discover", c_uint32),
        ("heartbeat_ms", c_uint32),
    ]


class CKey(Structure):
    _fields_ = [("data", c_char_p), ("size", c_size_t)]


class COwner(Structure):
    _fields_ = [("version", c_uint64), ("id", c_char * NAME_SIZE), ("addr", c_char * NAME_SIZE)]


class CMember(Structure):
    _fields_ = [("id", c_char_p), ("addr", c_char_p), ("replicas", c_uint32), ("state", c_int)]


class CMemberList(Structure):
    _fields_ = [
        ("version", c_uint64),
        ("digest", c_uint64),
        ("count", c_size_t),
        ("members", POINTER(CMember)),
    ]


class CGroup(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("members_count", c_uint32),
        ("alive_count", c_uint32),
        ("version", c_uint64),
        ("digest", c_uint64),
    ]


class CGroupList(Structure):
    _fields_ = [
        ("version", c_uint64),
        ("digest", c_uint64),
        ("count", c_size_t),
        ("groups", POINTER(CGroup)),
    ]


class CInfo(Structure):
    _fields_ = [("name", c_char_p), ("type", c_int), ("text", c_char_p), ("number", c_uint64)]


class CInfoList(Structure):
    _fields_ = [("count", c_size_t), ("entries", POINTER(CInfo))]


class CWatchStatus(Structure):
    _fields_ = [
        ("size", c_size_t),
        ("state", c_uint32),
        ("version", c_uint64),
        ("digest", c_uint64),
        ("age_ms", c_uint64),
        ("updates", c_uint64),
        ("full_copies", c_uint64),
        ("refused", c_uint64),
        ("members_count", c_uint64),
        ("alive_count", c_uint64),
        ("server", c_char * (NAME_SIZE + 16)),
    ]


# By the name of the struct in regfast.h.
STRUCTS: dict[str, type[Structure]] = {
    "regfast_options": Options,
    "regfast_key": CKey,
    "regfast_owner": COwner,
    "regfast_member": CMember,
    "regfast_member_list": CMemberList,
    "regfast_group": CGroup,
    "regfast_group_list": CGroupList,
    "regfast_info": CInfo,
    "regfast_info_list": CInfoList,
    "regfast_watch_status": CWatchStatus,
}

ERRBUF = [c_char_p, c_size_t]

# Result and parameters of each function.
FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "regfast_strerror": (c_char_p, [c_int]),
    "regfast_version": (c_char_p, []),
    "regfast_open": (c_int, [c_char_p, POINTER(Options), POINTER(c_void_p), *ERRBUF]),
    "regfast_close": (None, [c_void_p]),
    "regfast_server": (c_char_p, [c_void_p]),
    "regfast_match": (c_int, [c_void_p, c_char_p, c_char_p, c_size_t, POINTER(COwner), *ERRBUF]),
    "regfast_match_many": (
        c_int,
        [c_void_p, c_char_p, POINTER(CKey), c_size_t, POINTER(COwner), *ERRBUF],
    ),
    "regfast_owners": (
        c_int,
        [c_void_p, c_char_p, c_char_p, c_size_t, c_size_t, POINTER(COwner), *ERRBUF],
    ),
    "regfast_members": (c_int, [c_void_p, c_char_p, POINTER(POINTER(CMemberList)), *ERRBUF]),
    "regfast_member_list_free": (None, [POINTER(CMemberList)]),
    "regfast_groups": (c_int, [c_void_p, POINTER(POINTER(CGroupList)), *ERRBUF]),
    "regfast_group_list_free": (None, [POINTER(CGroupList)]),
    "regfast_info": (c_int, [c_void_p, POINTER(POINTER(CInfoList)), *ERRBUF]),
    "regfast_info_list_free": (None, [POINTER(CInfoList)]),
    "regfast_ping": (c_int, [c_void_p, POINTER(c_uint64), *ERRBUF]),
    "regfast_watch": (c_int, [c_void_p, c_char_p, POINTER(c_void_p), *ERRBUF]),
    "regfast_watch_close": (None, [c_void_p]),
    "regfast_watch_wait": (c_int, [c_void_p, c_uint64, c_uint32, *ERRBUF]),
    "regfast_watch_status": (c_int, [c_void_p, POINTER(CWatchStatus)]),
    "regfast_watch_members": (c_int, [c_void_p, POINTER(POINTER(CMemberList)), *ERRBUF]),
    "regfast_reader_new": (c_int, [c_void_p, POINTER(c_void_p)]),
    "regfast_reader_free": (None, [c_void_p]),
    "regfast_local_match": (c_int, [c_void_p, c_char_p, c_size_t, POINTER(COwner)]),
    "regfast_local_match_many": (c_int, [c_void_p, POINTER(CKey), c_size_t, POINTER(COwner)]),
    "regfast_local_owners": (c_int, [c_void_p, c_char_p, c_size_t, c_size_t, POINTER(COwner)]),
}


def load() -> ctypes.CDLL:
    named = os.environ.get("REGFAST_LIBRARY")
    reason: OSError | None = None
    for name in [named] if named else ["libregfast.so.0", ctypes.util.find_library("regfast")]:
        if name is None:
            continue
        try:
            library = ctypes.CDLL(name)
            break
        except OSError as error:
            reason = error
    else:
        raise ImportError(
            f"cannot load libregfast: {reason}; install it, or set REGFAST_LIBRARY to the path of "
            "libregfast.so.0"
        )
    return library


def declare(library: ctypes.CDLL, prefix: str) -> None:
    for function, (result, parameters) in FUNCTIONS.items():
        if function.startswith(prefix):
            declared = getattr(library, function)
            declared.restype = result
            declared.argtypes = parameters


lib = load()
declare(lib, "regfast_")
# Calls that never wait, without letting go of the interpreter, which would cost more than they do.
local = ctypes.PyDLL(None, handle=lib._handle)
declare(local, "regfast_local_")


class Error(Exception):
    """A call has failed: `code` is negative, an errno or a REGFAST_E... of regfast_strerror(3)."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code

    def __reduce__(self) -> tuple[type["Error"], tuple[int, str]]:
        return type(self), (self.code, str(self))

    @property
    def name(self) -> str:
        """The code's, as in C: "REGFAST_ENOTFOUND", "ETIMEDOUT"."""
        return NAMES.get(self.code) or errno.errorcode.get(-self.code, str(self.code))


class NotFoundError(Error, LookupError):
    """There is no such group, or it has no instance that could answer."""


class UnavailableError(Error, ConnectionError):
    """No registry answers, or not in time."""


NAMES = {
    EMALFORMED: "REGFAST_EMALFORMED",
    EVERSION: "REGFAST_EVERSION",
    ELIMIT: "REGFAST_ELIMIT",
    ENOTFOUND: "REGFAST_ENOTFOUND",
    EUNAVAILABLE: "REGFAST_EUNAVAILABLE",
    EUNSUPPORTED: "REGFAST_EUNSUPPORTED",
}


def error_of(code: int, text: str) -> Error:
    if code == ENOTFOUND:
        return NotFoundError(code, text)
    if code in (EUNAVAILABLE, -errno.ETIMEDOUT):
        return UnavailableError(code, text)
    return Error(code, text)


def call(function: str, *arguments: object) -> int:
    """Calls what has an errbuf as its last parameters; raises Error."""
    errbuf = ctypes.create_string_buffer(ERROR_SIZE)
    code: int = getattr(lib, function)(*arguments, errbuf, ERROR_SIZE)
    if code < 0:
        raise error_of(code, text_of(errbuf.value))
    return code


def text_of(data: bytes | None) -> str:
    """Names are any bytes; what is no UTF-8 comes back as it was by bytes_of."""
    return (data or b"").decode("utf-8", "surrogateescape")


def bytes_of(text: str, what: str) -> bytes:
    if "\0" in text:
        raise ValueError(f"{what} {text!r}: has a NUL")
    return text.encode("utf-8", "surrogateescape")


def key_of(key: bytes | str) -> bytes:
    if isinstance(key, str):
        return key.encode("utf-8", "surrogateescape")
    return bytes(memoryview(key))  # by way of one, since bytes(5) are five zeros


def version() -> str:
    """Of the library, "0.1.0"."""
    return text_of(lib.regfast_version())
