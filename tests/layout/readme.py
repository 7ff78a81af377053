"""What the README names must exist: files, options, CMake targets. Its programs do what it says."""

import ctypes
import os
import pathlib
import re
import subprocess
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


def output_of(language, program):
    """What a program prints, compiled with every warning and linked with the library."""
    compiler, standard = {"c": (os.environ["CC"], "gnu17"), "cpp": (os.environ["CXX"], "gnu++20")}[language]
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, f"program.{language}")
        source.write_text(program)
        command = [compiler, f"-std={standard}", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'include'}",
                   source, LIBRARY, f"-Wl,-rpath,{pathlib.Path(LIBRARY).parent}", "-o", f"{folder}/program"]
        subprocess.run(command, check=True)
        return subprocess.run([f"{folder}/program"], check=True, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL).stdout


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

    def test_programs_print_what_the_comments_beside_their_output_say(self):
        programs = re.findall(r"^```(c|cpp)\n(.*?)^```", self.text, re.MULTILINE | re.DOTALL)
        for language, program in programs:
            with self.subTest(program=program.splitlines()[0]):
                said = re.findall(r"printf\(.*/\* (.*) \*/$", program, re.MULTILINE)
                self.assertEqual(output_of(language, program).splitlines(), said)

    def test_there_is_a_program_for_every_public_header(self):
        headers = {path.name for path in (ROOT / "include/quarry").iterdir()} - {"gfp.h"}
        included = set(re.findall(r"^#include <quarry/(.*)>", self.text, re.MULTILINE))
        self.assertEqual(headers - included, set())

    def test_linking_is_described(self):
        for name in ("-lquarry", "find_package(quarry", "quarry::"):
            self.assertIn(name, self.text)

    def test_names_every_option(self):
        names = option_names()
        self.assertTrue({"rseq", "background", "stats"} <= names, names)
        self.assertEqual({name for name in names if not re.search(rf"`{name}\b", self.text)}, set())


if __name__ == "__main__":
    unittest.main()
