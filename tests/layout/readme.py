"""What the README names must exist: files, options, CMake targets."""

import ctypes
import os
import pathlib
import re
import tempfile
import unittest

ROOT = pathlib.Path(os.environ["QUARRY_SOURCE"])
LIBRARY = os.environ["QUARRY_LIBRARY"]


def option_names():
    """The names that quarry_print_options prints, each at the beginning of a line."""
    library = ctypes.CDLL(LIBRARY)
    with tempfile.TemporaryFile("w+") as file:
        library.quarry_print_options(file.fileno())
        file.seek(0)
        return set(re.findall(r"^([a-z_]+)\b", file.read(), re.MULTILINE))


class Readme(unittest.TestCase):
    def setUp(self):
        self.text = (ROOT / "README.md").read_text()

    def test_opens_with_the_two_commands(self):
        for command in ("scripts/quarry run", "scripts/test"):
            self.assertIn(command, self.text)

    def test_files_it_names_exist(self):
        names = set(re.findall(r"\b(?:src|preload|include|tests|bench|scripts)/[\w./+-]*\w", self.text))
        names |= {name for name in re.findall(r"\]\(([^)#:]+)\)", self.text)}
        self.assertEqual({name for name in names if not (ROOT / name).exists()}, set())

    def test_linking_is_described(self):
        for name in ("-lquarry", "find_package(quarry", "quarry::"):
            self.assertIn(name, self.text)

    def test_names_every_option(self):
        names = option_names()
        self.assertTrue({"rseq", "background", "stats"} <= names, names)
        self.assertEqual({name for name in names if not re.search(rf"`{name}\b", self.text)}, set())


if __name__ == "__main__":
    unittest.main()
