# SPDX-License-Identifier: MIT
"""Client of the regfast service registry: which instance of a service has a key.

    import regfast

    with regfast.Client("10.0.0.1:9800,10.0.0.2:9800") as client:
        owner = client.match("web", "alice")
        print(owner.id, owner.addr)

Or without asking anybody for each key, from a copy of the group that is kept current:

    with regfast.Client("10.0.0.1:9800", background=True) as client, client.watch("web") as watch:
        watch.wait()
        print(watch.match("alice").addr)

It calls libregfast.so.0, which is looked for where the system's linker does, or is named by the
environment variable REGFAST_LIBRARY. Keys are bytes, or str, which stands for its UTF-8. What fails
raises regfast.Error, with the code of regfast_strerror(3) and a text that says where and why.
"""

from ._client import Client
from ._library import Error, NotFoundError, UnavailableError, version
from ._values import Group, GroupList, Member, MemberList, MemberState, Owner
from ._watch import Watch, WatchState, WatchStatus

__all__ = [
    "Client",
    "Error",
    "Group",
    "GroupList",
    "Member",
    "MemberList",
    "MemberState",
    "NotFoundError",
    "Owner",
    "UnavailableError",
    "Watch",
    "WatchState",
    "WatchStatus",
    "version",
]
