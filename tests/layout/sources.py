"""The rules of src/ that a compiler does not hold: who includes whom, file length, forbidden calls."""

import json
import os
import pathlib
import re
import shlex
import unittest

ROOT = pathlib.Path(os.environ["QUARRY_SOURCE"])
BUILD = pathlib.Path(os.environ["QUARRY_BUILD"])

# From the ground up: a folder includes itself and those before it.
LAYERS = ["base", "os", "percpu", "page", "slab", "mempool", "heap", "observe"]

LINES = 500
SUFFIXES = (".h", ".hpp", ".c", ".cpp", ".inc", ".S")


def files(folder):
    return sorted(path for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES)


def without_comments(text):
    """The source with comments and the insides of strings and characters blanked."""
    pattern = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\''
    return re.sub(pattern, lambda match: '""' if match[0][0] == '"' else " ", text, flags=re.DOTALL)


def includes(path):
    """The quoted or bracketed names that a file includes."""
    return re.findall(r'^\s*#\s*include\s*["<]([^">]+)[">]', path.read_text(), re.MULTILINE)


class Hierarchy(unittest.TestCase):
    def test_sources_lie_in_a_layer(self):
        for path in files("src"):
            folder = path.relative_to(ROOT / "src").parts[0]
            self.assertIn(folder, LAYERS, f"{path}: not in a folder of the list")

    def test_a_layer_includes_itself_and_what_is_below(self):
        for path in files("src"):
            own = LAYERS.index(path.relative_to(ROOT / "src").parts[0])
            for name in self.own_includes(path):
                folder = name.split("/")[0]
                self.assertIn(folder, LAYERS[: own + 1], f"{path} includes {name}")

    def test_the_shim_includes_layers_and_public_headers(self):
        for path in files("preload"):
            for name in self.own_includes(path):
                self.assertIn(name.split("/")[0], LAYERS + ["preload"], f"{path} includes {name}")

    def test_public_headers_include_public_headers_alone(self):
        for path in files("include"):
            self.assertEqual(list(self.own_includes(path)), [], path)

    def own_includes(self, path):
        """The includes of this project's headers but the public ones, each checked to exist."""
        text = path.read_text()
        for name in re.findall(r'^\s*#\s*include\s*"([^"]+)"', text, re.MULTILINE):
            folder = "include" if name.startswith("quarry/") else "src"
            exists = (ROOT / folder / name).exists() or (ROOT / name).exists()
            self.assertTrue(exists, f'{path} includes "{name}", not written from src/')
            if folder != "include":
                yield name


class Length(unittest.TestCase):
    def test_no_file_is_too_long_to_read(self):
        for path in files("src"):
            self.assertLessEqual(len(path.read_text().splitlines()), LINES, path)


class Calls(unittest.TestCase):
    def test_nothing_formats_through_libc(self):
        """printf may allocate, and takes locks that a fork child may find held."""
        for path in files("src"):
            found = re.search(r"\b\w*printf\s*\(", without_comments(path.read_text()))
            self.assertIsNone(found, path)
            self.assertFalse({"cstdio", "stdio.h", "iostream", "sstream"} & set(includes(path)), path)

    def test_nothing_throws_or_catches(self):
        for path in files("src"):
            found = re.search(r"\b(throw|try|catch|dynamic_cast|typeid)\b", without_comments(path.read_text()))
            self.assertIsNone(found, path)

    def test_layers_are_compiled_without_exceptions_and_rtti(self):
        commands = json.loads((BUILD / "compile_commands.json").read_text())
        layers = [entry for entry in commands
                  if (ROOT / "src") in pathlib.Path(entry["directory"], entry["file"]).parents]
        self.assertTrue(layers)
        for entry in layers:
            flags = shlex.split(entry["command"])
            for flag in ("-fno-exceptions", "-fno-rtti"):
                self.assertIn(flag, flags, entry["file"])


if __name__ == "__main__":
    unittest.main()
