# SPDX-License-Identifier: MIT
"""test_abi.py BUILD_DIR - the check of the ABI finds what has changed against a baseline that is made
up, and allows what may be added."""

import importlib.machinery
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
BUILD = str(Path(sys.argv.pop(1)).resolve())
sys.dont_write_bytecode = True
sys.path.insert(0, str(SOURCE / "tools" / "api"))
loader = importlib.machinery.SourceFileLoader("abi", str(SOURCE / "tools" / "api" / "abi"))
spec = importlib.util.spec_from_loader("abi", loader)
assert spec is not None
abi = importlib.util.module_from_spec(spec)
loader.exec_module(abi)

NOW = abi.current(BUILD)


class Compare(unittest.TestCase):
    def faults(self, pattern: str, replacement: str) -> list[str]:
        """Against a baseline that is what there is now, changed so."""
        baseline, count = re.subn(pattern, replacement, NOW, flags=re.M)
        self.assertGreater(count, 0, pattern)
        found: list[str] = abi.faults(abi.Abi(baseline), abi.Abi(NOW))
        return found

    def test_allows_what_is_added(self) -> None:
        self.assertEqual(self.faults("^version .*", r"\g<0>"), [])
        self.assertEqual(self.faults(r"^constant REGFAST_MEMBER_HELD .*\n", ""), [])
        self.assertEqual(self.faults(r"^(struct|member) regfast_info_list\b.*\n", ""), [])
        # Options that have grown.
        self.assertEqual(
            self.faults(r"^(options regfast_options) .*|^member regfast_options\.(?!size ).*\n",
                        lambda m: f"{m.group(1)} 8" if m.group(1) else ""),
            [],
        )  # fmt: skip
        # Functions in a version node that is new as well.
        self.assertEqual(self.faults(r"^function .*\n", ""), [])

    def test_finds_what_is_gone_or_has_changed(self) -> None:
        function = "function regfast_ping"
        for text, pattern, replacement in (
            ("function regfast_gone is gone", f"^{function}", r"function regfast_gone N int ()\n\g<0>"),
            (f"{function} was ", f"^({function} .*)size_t", r"\1int"),
            (f"{function} was ", rf"^({function}) \S+", r"\1 REGFAST_0.0"),
            ("which is released: it wants a node of its own", rf"^{function} .*\n", ""),
            ("constant REGFAST_EVERSION was ", "^(constant REGFAST_EVERSION) .*", r"\1 -5001"),
            ("struct regfast_owner was ", "^(struct regfast_owner) .*", r"\1 512"),
            ("member regfast_owner.addr was ", r"^(member regfast_owner\.addr) 264", r"\1 256"),
            ("member regfast_owner.version was ", r"^(member regfast_owner\.version .*)uint", r"\1int"),
            ("in a struct that cannot grow", r"^member regfast_key\.size .*\n", ""),
            ("struct regfast_options had 4096 bytes", "^(options regfast_options) .*", r"\1 4096"),
            ("but lies within the", r"^member regfast_options\.call_timeout_ms .*\n", ""),
            ("soname libregfast.so.00 is gone", "^soname .*", r"\g<0>0"),
        ):
            with self.subTest(pattern):
                found = self.faults(pattern, replacement)
                self.assertEqual(len(found), 1, found)
                self.assertIn(text, found[0])


class Releases(unittest.TestCase):
    """In a copy of the sources that has a history of its own."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = Path(folder.name)
        (self.tree / "client").mkdir()
        shutil.copytree(SOURCE / "tools" / "api", self.tree / "tools" / "api")
        shutil.copy(SOURCE / "client" / "regfast.h", self.tree / "client")
        self.git("init", "-q")
        self.git("commit", "-q", "--allow-empty", "-m", "before any release")

    def git(self, *arguments: str) -> None:
        settings = ("user.name=test", "user.email=test@localhost", "commit.gpgsign=false")
        options = [option for setting in settings for option in ("-c", setting)]
        subprocess.run(["git", "-C", self.tree, *options, *arguments], check=True)

    def run_abi(self, command: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, self.tree / "tools" / "api" / "abi", command, BUILD],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def change_baseline(self, pattern: str, replacement: str) -> None:
        (path,) = (self.tree / "client" / "abi").iterdir()
        text, count = re.subn(pattern, replacement, path.read_text(), flags=re.M)
        self.assertEqual(count, 1)
        path.write_text(text)

    def test_each_has_a_baseline(self) -> None:
        self.assertEqual(self.run_abi("check"), (0, ""))
        self.git("tag", "v0.0.9")
        code, said = self.run_abi("check")
        self.assertEqual(code, 1)
        self.assertIn("0.0.9 is released, and there is no", said)
        self.assertEqual(self.run_abi("record"), (0, ""))
        self.assertEqual(self.run_abi("check"), (0, ""))
        self.change_baseline("^version .*", "version 0.0.8")
        code, said = self.run_abi("check")
        self.assertEqual(code, 1)
        self.assertIn("is of 0.0.8, and 0.0.9 is released", said)
        self.change_baseline("^constant REGFAST_EVERSION .*", "constant REGFAST_EVERSION 1")
        code, said = self.run_abi("record")
        self.assertEqual(code, 1)
        self.assertIn("constant REGFAST_EVERSION was '1'", said)


if __name__ == "__main__":
    unittest.main()
