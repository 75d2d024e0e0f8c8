# SPDX-License-Identifier: MIT
"""test_python.py BUILD_DIR - the Python module against a registry with services that come and go."""

import contextlib
import ctypes
import importlib.util
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from collections.abc import Callable
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
BUILD = Path(sys.argv.pop(1)).resolve()
os.environ["REGFAST_LIBRARY"] = str(BUILD / "client" / "libregfast.so.0")
sys.dont_write_bytecode = True
sys.path.insert(0, str(SOURCE / "client" / "python"))

import regfast  # noqa: E402
from regfast import _library  # noqa: E402

WAIT_S = 60  # for what takes a moment, on a machine that does other things


class Process:
    """A program whose lines on standard error and output can be waited for."""

    def __init__(self, *command: str) -> None:
        self.process = subprocess.Popen(
            [str(BUILD / "bin" / command[0]), *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line)
                self.changed.notify_all()

    def wait_for(self, pattern: str) -> re.Match[str]:
        def find() -> re.Match[str] | None:
            return next(filter(None, (re.search(pattern, line) for line in self.lines)), None)

        with self.changed:
            found = self.changed.wait_for(find, WAIT_S)
        assert found, f"no '{pattern}' in: {self.lines}"
        return found

    def stop(self, signal_number: int = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        try:
            self.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Registry(Process):
    def __init__(self, name: str, *options: str) -> None:
        super().__init__(
            "registry", "-id", name, "-addr", "127.0.0.1:0", "-bind", "127.0.0.1:0", *options
        )
        started = self.wait_for(r" started .*\bport=(\d+) .*\bbind=(\S+)")
        self.addr = f"127.0.0.1:{started.group(1)}"
        self.bind = started.group(2)


def service(registry: Registry, group: str, name: str, addr: str) -> Process:
    """A member that has joined."""
    process = Process(
        "regctl", "register", "-group", group, "-id", name, "-addr", addr,
        "-bind", "127.0.0.1:0", "-registries", registry.bind,
    )  # fmt: skip
    process.wait_for("joined")
    return process


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "does not come true"
        time.sleep(0.02)


def states(client: regfast.Client, group: str) -> dict[str, regfast.MemberState]:
    try:
        return {member.id: member.state for member in client.members(group)}
    except regfast.NotFoundError:
        return {}


class WithRegistry(unittest.TestCase):
    """A registry with web-1, web-2 and web-3 in the group web."""

    def setUp(self) -> None:
        self.registry = Registry("r")
        self.addCleanup(self.registry.stop, signal.SIGKILL)
        self.services = {}
        for i in (1, 2, 3):
            self.services[f"web-{i}"] = service(self.registry, "web", f"web-{i}", f"10.0.0.{i}:80")
            self.addCleanup(self.services[f"web-{i}"].stop, signal.SIGKILL)
        self.client = regfast.Client(self.registry.addr, call_timeout=20)
        self.addCleanup(self.client.close)
        eventually(lambda: len(states(self.client, "web")) == 3)


class Asking(WithRegistry):
    def test_all_calls(self) -> None:
        """One test, as it is the cluster that takes the time."""
        client = self.client
        with self.subTest("match"):
            owner = client.match("web", "alice")
            self.assertRegex(owner.id, "^web-[123]$")
            self.assertEqual(owner.addr, f"10.0.0.{owner.id[-1]}:80")
            self.assertEqual(client.server, self.registry.addr)
            self.assertEqual(client.match("web", b"alice"), owner)
            self.assertIn(client.match("web", b"\0\xff").id, self.services)
            self.assertIn(client.match("web", b"").id, self.services)
        with self.subTest("match_many"):
            keys = [f"user-{i}" for i in range(3000)]
            owners = client.match_many("web", keys)
            self.assertEqual(len(owners), len(keys))
            self.assertEqual({o.id for o in owners}, set(self.services))
            self.assertEqual(owners[7], client.match("web", "user-7"))
            self.assertEqual(client.match_many("web", []), [])
        with self.subTest("owners"):
            two = client.owners("web", "alice", 2)
            self.assertEqual(two[0], owner)
            self.assertEqual(len({o.id for o in two}), 2)
            self.assertEqual(len(client.owners("web", "alice", 10)), 3)
        with self.subTest("members"):
            members = client.members("web")
            self.assertEqual([m.id for m in members], ["web-1", "web-2", "web-3"])
            self.assertEqual(members.members[1].addr, "10.0.0.2:80")
            self.assertEqual(members.members[1].replicas, 1000)
            self.assertIs(members.members[1].state, regfast.MemberState.ALIVE)
            self.assertEqual(members.version, owner.version)
        with self.subTest("groups"):
            groups = {g.name: g for g in client.groups()}
            self.assertEqual(set(groups), {"web", "registry-group"})
            self.assertEqual(groups["web"].members_count, 3)
            self.assertEqual(groups["web"].alive_count, 3)
            self.assertEqual(groups["web"].digest, members.digest)
        with self.subTest("info"):
            info = client.info()
            self.assertEqual(info["placement"], "v1")
            self.assertIsInstance(info["connections_open"], int)
        with self.subTest("ping"):
            self.assertGreater(client.ping(), 0)
        with self.subTest("who leaves has left"):
            self.services["web-2"].stop()
            eventually(lambda: states(client, "web").get("web-2") is regfast.MemberState.LEFT)
            self.assertNotIn("web-2", {o.id for o in client.match_many("web", keys)})
        with self.subTest("threads take turns"):
            wrong: list[object] = []

            def ask() -> None:
                for key in keys[:50]:
                    if client.match("web", key).id not in ("web-1", "web-3"):
                        wrong.append(key)

            threads = [threading.Thread(target=ask) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(wrong, [])


class Watching(WithRegistry):
    def test_background(self) -> None:
        keys = [f"user-{i}" for i in range(1000)]
        with (
            regfast.Client(
                self.registry.addr, call_timeout=20, background=True, heartbeat=1
            ) as client,
            client.watch("web") as watch,
        ):
            status = watch.wait(timeout=WAIT_S)
            eventually(lambda: watch.status.state is regfast.WatchState.LIVE)
            self.assertEqual((status.members_count, status.alive_count), (3, 3))
            self.assertEqual(status.server, self.registry.addr)
            self.assertEqual(watch.members(), client.members("web"))
            self.assertEqual(status.digest, watch.members().digest)
            for key in (*keys, b"", b"\0\xff"):
                self.assertEqual(watch.match(key), client.match("web", key), key)
            self.assertEqual(watch.match_many(keys), client.match_many("web", keys))
            self.assertEqual(watch.owners("alice", 5), client.owners("web", "alice", 5))
            with self.assertRaises(regfast.UnavailableError):
                watch.wait(status.updates, timeout=0.1)

            self.services["web-2"].stop()
            while "web-2" in {owner.id for owner in watch.match_many(keys)}:
                status = watch.wait(status.updates, timeout=WAIT_S)
            self.assertEqual(watch.status.alive_count, 2)

            self.registry.stop()
            eventually(lambda: watch.status.state is regfast.WatchState.STALE)
            self.assertIn(watch.match("alice").id, ("web-1", "web-3"))

            wrong: list[object] = []

            def ask() -> None:
                wrong.extend(o for o in watch.match_many(keys) if o.id not in ("web-1", "web-3"))

            threads = [threading.Thread(target=ask) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(wrong, [])
        for use in (lambda: watch.match("alice"), lambda: watch.status, watch.members):
            with self.assertRaisesRegex(ValueError, "closed"):
                use()
        watch.close()

    def test_ends_while_threads_wait(self) -> None:
        client = regfast.Client(self.registry.addr, call_timeout=20, background=True)
        watches = [client.watch("web"), client.watch("web")]
        updates = [watch.wait(timeout=WAIT_S).updates for watch in watches]
        ended = []

        def wait(i: int) -> None:
            try:
                while True:
                    updates[i] = watches[i].wait(updates[i], timeout=WAIT_S).updates
            except ValueError as error:
                ended.append(str(error))

        threads = [threading.Thread(target=wait, args=(i,)) for i in (0, 0, 1, 1)]
        for thread in threads:
            thread.start()
        watches[0].close()
        client.close()
        for thread in threads:
            thread.join()
        self.assertEqual(len(ended), 4)
        self.assertIn("the watch is closed", ended)
        self.assertIn("the client is closed", ended)

    def test_driven_by_calls(self) -> None:
        watch = self.client.watch("nobody")
        with self.assertRaises(regfast.Error) as raised:
            watch.match("alice")
        self.assertEqual(raised.exception.name, "EAGAIN")
        watch.wait(timeout=WAIT_S)
        with self.assertRaises(regfast.NotFoundError):
            watch.match("alice")
        with self.assertRaises(regfast.Error):
            self.client.watch("g" * 256)
        self.client.close()
        with self.assertRaisesRegex(ValueError, "closed"):
            watch.match("alice")


class Errors(unittest.TestCase):
    def test_elsewhere(self) -> None:
        registry = Registry("r")
        self.addCleanup(registry.stop, signal.SIGKILL)
        registries = f"127.0.0.1:1,{registry.addr}"
        with regfast.Client(registries, call_timeout=20, in_order=True, discover=True) as client:
            self.assertGreater(client.ping(), 0)
            self.assertEqual(client.server, registry.addr)

    def test_nobody_answers(self) -> None:
        with regfast.Client("127.0.0.1:1", connect_timeout=1, call_timeout=1) as client:
            with self.assertRaises(regfast.UnavailableError) as raised:
                client.match("web", "alice")
            self.assertIn("127.0.0.1:1", str(raised.exception))
            self.assertEqual(raised.exception.name, "REGFAST_EUNAVAILABLE")
            self.assertEqual(client.server, "")

    def test_arguments(self) -> None:
        with self.assertRaises(regfast.Error) as raised:
            regfast.Client("127.0.0.1:99999")
        self.assertEqual(raised.exception.name, "EINVAL")
        self.assertIn("99999", str(raised.exception))
        with self.assertRaises(ValueError):
            regfast.Client("127.0.0.1:1", call_timeout=-1)
        with regfast.Client("127.0.0.1:1") as client:
            with self.assertRaises(ValueError):
                client.match("we\0b", "alice")
            for group in ("", "g" * 256):
                with self.assertRaises(regfast.Error):
                    client.match(group, "alice")
            with self.assertRaises(regfast.Error):
                client.match("web", b"k" * 100000)
            with self.assertRaises(regfast.Error):
                client.owners("web", "alice", 0)

    def test_keys_are_bytes_or_text(self) -> None:
        with regfast.Client("127.0.0.1:1") as client, client.watch("web") as watch:
            for ask in (client.match, lambda _, key: watch.match(key)):
                for key in (5, True, None, 1.5, [1, 2]):
                    with self.assertRaises(TypeError):
                        ask("web", key)  # type: ignore
                for key in (bytearray(b"k"), memoryview(b"k")):
                    with self.assertRaises(regfast.Error):
                        ask("web", key)  # type: ignore
            for ask_many in (lambda keys: client.match_many("web", keys), watch.match_many):
                for keys in ("alice", b"alice", [5]):
                    with self.assertRaises(TypeError):
                        ask_many(keys)  # type: ignore

    def test_too_many_owners(self) -> None:
        with regfast.Client("127.0.0.1:1") as client, client.watch("web") as watch:
            for ask in (lambda n: client.owners("web", "alice", n), lambda n: watch.owners("a", n)):
                with self.assertRaises(regfast.Error) as raised:
                    ask(10**12)
                self.assertEqual(raised.exception.name, "EINVAL")

    def test_pass_to_other_processes(self) -> None:
        with regfast.Client("127.0.0.1:1", call_timeout=1) as client:
            for call in (lambda: client.match("web", "alice"), lambda: client.match("", "alice")):
                with self.assertRaises(regfast.Error) as raised:
                    call()
                error = raised.exception
                copy = pickle.loads(pickle.dumps(error))
                self.assertIs(type(copy), type(error))
                self.assertEqual((copy.code, str(copy)), (error.code, str(error)))

    def test_closed(self) -> None:
        client = regfast.Client("127.0.0.1:1")
        client.close()
        client.close()
        with self.assertRaisesRegex(ValueError, "closed"):
            client.match("web", "alice")

    def test_not_found(self) -> None:
        registry = Registry("r")
        self.addCleanup(registry.stop, signal.SIGKILL)
        with regfast.Client(registry.addr, call_timeout=20) as client:
            with self.assertRaises(regfast.NotFoundError) as raised:
                client.match("nobody", "alice")
            self.assertIn("nobody", str(raised.exception))
            self.assertIsInstance(raised.exception, LookupError)

    def test_without_the_library(self) -> None:
        said = subprocess.run(
            [sys.executable, "-B", "-c", "import regfast"],
            env={"PYTHONPATH": sys.path[0], "REGFAST_LIBRARY": "/nowhere/libregfast.so.0"},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertIn("ImportError: cannot load libregfast", said.stderr)


def in_child(body: Callable[[], None]) -> int:
    """How a child process that runs it ends: 0 well, 1 with an exception, -14 if it takes long."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(WAIT_S)
            body()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Signals(unittest.TestCase):
    """A handler runs in the main thread, in the middle of what that does."""

    def in_handler(self, handler: Callable[[], None], body: Callable[[], None]) -> None:
        failed: list[BaseException] = []

        def handle(*_: object) -> None:
            try:
                handler()
            except BaseException as error:
                failed.append(error)

        before = signal.signal(signal.SIGUSR1, handle)
        self.addCleanup(signal.signal, signal.SIGUSR1, before)
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        try:
            body()
        finally:
            timer.join()
        if failed:
            raise failed[0]

    def test_handler_closes_what_is_waited_for(self) -> None:
        def body() -> None:
            for background in (True, False):
                for closed in ("client", "watch"):
                    client = regfast.Client("127.0.0.1:1", background=background)
                    watch = client.watch("web")
                    close = client.close if closed == "client" else watch.close

                    def wait() -> None:
                        with self.assertRaisesRegex(ValueError, f"the {closed} is closed"):
                            watch.wait(timeout=WAIT_S)

                    self.in_handler(close, wait)
                    client.close()

        self.assertEqual(in_child(body), 0)

    def test_handler_that_asks_is_refused(self) -> None:
        def body() -> None:
            with regfast.Client("127.0.0.1:1") as client, client.watch("web") as watch:

                def wait() -> None:
                    with self.assertRaises(regfast.UnavailableError):
                        watch.wait(timeout=3)

                with self.assertRaisesRegex(RuntimeError, "the client is in use"):
                    self.in_handler(client.ping, wait)

        self.assertEqual(in_child(body), 0)


class Fork(unittest.TestCase):
    def test_while_a_thread_waits(self) -> None:
        registry = Registry("r")
        self.addCleanup(registry.stop, signal.SIGKILL)
        for background in (True, False):
            client = regfast.Client(registry.addr, call_timeout=20, background=background)
            watch = client.watch("nobody")
            updates = watch.wait(timeout=WAIT_S).updates
            ended = threading.Event()

            def wait() -> None:
                with contextlib.suppress(ValueError):
                    while not ended.is_set():
                        with contextlib.suppress(regfast.UnavailableError):
                            watch.wait(updates, timeout=0.4)

            def close() -> None:
                with contextlib.suppress(regfast.Error, ValueError):
                    client.match("web", "alice")
                watch.close()
                client.close()

            thread = threading.Thread(target=wait)
            thread.start()
            try:
                eventually(lambda: len(client._gate._inside) > 0)
                for _ in range(20):
                    self.assertEqual(in_child(close), 0)
            finally:
                ended.set()
                thread.join()
            self.assertGreater(client.ping(), 0)
            client.close()

    def test_goes_on_in_a_child(self) -> None:
        registry = Registry("r")
        self.addCleanup(registry.stop, signal.SIGKILL)
        with regfast.Client(registry.addr, call_timeout=20) as client:

            def use() -> None:
                client.ping()
                client.close()

            client.ping()
            self.assertEqual(in_child(use), 0)
            self.assertGreater(client.ping(), 0)


class Package(unittest.TestCase):
    def test_installs_by_pip(self) -> None:
        for module in ("pip", "setuptools", "wheel"):
            if importlib.util.find_spec(module) is None:
                self.skipTest(f"this Python has no {module}")
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "source"  # since building leaves files beside it
            target = Path(folder) / "target"
            shutil.copytree(SOURCE / "client" / "python", source)
            subprocess.run(
                [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-build-isolation"]
                + ["--target", str(target), str(source)],
                check=True,
            )
            said = subprocess.run(
                [sys.executable, "-B", "-c", "import regfast; print(regfast.__file__)"],
                env={"PYTHONPATH": str(target), "REGFAST_LIBRARY": os.environ["REGFAST_LIBRARY"]},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            ).stdout
            self.assertEqual(said.strip(), str(target / "regfast" / "__init__.py"))
            self.assertTrue((target / "regfast" / "py.typed").exists())


class Layout(unittest.TestCase):
    """ctypes' structs and constants are those that a C compiler makes of regfast.h."""

    def test_is_that_of_the_header(self) -> None:
        printed = subprocess.run(
            [SOURCE / "tools" / "api" / "abi", "print", BUILD], stdout=subprocess.PIPE, text=True, check=True
        ).stdout
        sizes = dict(re.findall(r"^(?:struct|options) (\w+) (\d+)$", printed, re.M))
        members = re.findall(r"^member (\w+)\.(\w+) (\d+) (\d+) ", printed, re.M)
        for name, struct in _library.STRUCTS.items():
            expected = [(m, int(o), int(s)) for of, m, o, s in members if of == name]
            found = [
                (field[0], getattr(struct, field[0]).offset, getattr(struct, field[0]).size)
                for field in struct._fields_
            ]
            self.assertEqual(found, expected, name)
            self.assertEqual(ctypes.sizeof(struct), int(sizes[name]), name)
        constants = re.findall(r"^constant REGFAST_(\w+) (-?\d+)$", printed, re.M)
        for name, value in constants:
            if hasattr(_library, name):
                self.assertEqual(getattr(_library, name), int(value), name)
            elif name.startswith("MEMBER_"):
                self.assertEqual(regfast.MemberState[name[7:]], int(value), name)
        codes = {f"REGFAST_{name}" for name, value in constants if int(value) < 0}
        self.assertEqual(set(_library.NAMES.values()), codes)
        functions = re.findall(r"^function (\w+) ", printed, re.M)
        self.assertLessEqual(set(_library.FUNCTIONS), set(functions))


if __name__ == "__main__":
    unittest.main()
