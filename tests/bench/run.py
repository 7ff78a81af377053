"""scripts/quarry run: which words are the program's, and what is said of programs that are not as others."""

import pathlib
import sys
import tempfile
import unittest
from unittest import mock

del sys.path[0]  # this folder, whose launch.py is another
import build
import cli
import launch
from failure import failure


def started(*words):
    """The program and the arguments that `quarry run WORDS` starts."""
    with mock.patch("sys.argv", ["quarry", "run", *words]), mock.patch("launch.run") as run:
        cli.main()
    return run.call_args and run.call_args.args


class Run(unittest.TestCase):
    def test_every_word_behind_the_program_is_its_own(self):
        self.assertEqual(started("grep", "--", "-n", "file"), ("grep", ["--", "-n", "file"]))
        self.assertEqual(started("ls", "--help"), ("ls", ["--help"]))
        self.assertEqual(started("echo", "-n", "a"), ("echo", ["-n", "a"]))
        self.assertEqual(started("true"), ("true", []))

    def test_two_dashes_may_precede_the_program(self):
        self.assertEqual(started("--", "echo", "a"), ("echo", ["a"]))
        self.assertEqual(started("--", "grep", "--", "-n"), ("grep", ["--", "-n"]))

    def test_without_a_program_there_is_a_tour(self):
        for words in [], ["--"]:
            with mock.patch("tour.tour") as tour:
                self.assertIsNone(started(*words))
            tour.assert_called_once_with()

    def test_a_damaged_program_is_not_called_static(self):
        whole = pathlib.Path("/bin/true").read_bytes()
        far = whole[:32] + b"\xff" * 8 + whole[40:]
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "program"
            for bytes in whole[:64], whole[:100], far:
                file.write_bytes(bytes)
                self.assertFalse(launch.is_static(file))

    def test_what_was_built_for_another_checkout_is_not_run(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch("build.BUILD", pathlib.Path(folder)):
            for origin, is_ours in (build.ROOT, True), (folder, False):
                (build.BUILD / "CMakeCache.txt").write_text(f"A:STRING=b\nCMAKE_HOME_DIRECTORY:INTERNAL={origin}\n")
                if is_ours:
                    build.check_origin()
                else:
                    self.assertRaisesRegex(failure, f"^build/ was made for {folder}; delete it$", build.check_origin)

    def test_without_readelf_nothing_is_known_of_a_library(self):
        with mock.patch("os.defpath", "/nowhere"):
            self.assertFalse(launch.defines_malloc("/bin/true"))

    def test_a_file_system_may_have_no_attributes(self):
        with mock.patch("os.listxattr", side_effect=OSError):
            self.assertFalse(launch.has_capabilities("/bin/true"))


if __name__ == "__main__":
    unittest.main()
