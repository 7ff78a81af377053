"""--suite DIR: how the list is read, and what is said of a line that is wrong."""

import pathlib
import tempfile
import unittest

from failure import failure
from harness import child, external

MEASURED = {"wall": 2.0, "user": 0.5, "system": 0.25}


class Suite(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name).resolve()

    def rows(self, text):
        (self.folder / "suite").write_text(text)
        return external.benchmarks(self.folder)

    def assert_refused(self, text, reason):
        with self.assertRaisesRegex(failure, reason):
            self.rows(text)

    def test_figures_are_read_as_the_line_says(self):
        a, b, c = self.rows("# a comment\n\na wall /bin/true\nb cpu /bin/echo 'two words' # more\n"
                            "c 'took ([0-9.]+) s' sh -c 'echo took 3.5 s'\n")
        self.assertEqual(a.full_name, f"{self.folder.name}/a")
        self.assertEqual(b.command, ["/bin/echo", "two words"])
        self.assertEqual(a.read("", MEASURED)[0], 2.0)
        self.assertEqual(b.read("", MEASURED)[0], 0.75)
        self.assertEqual(c.read("it took 3.5 s\n", MEASURED)[0], 3.5)
        self.assertEqual((a.cost, b.cost), ("wall", "cpu"))
        with self.assertRaisesRegex(child.failed, "^no figure"):
            c.read("it took long", MEASURED)

    def test_a_program_of_the_folder_runs_there(self):
        program = self.folder / "program"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        (row,) = self.rows("x wall ./program\n")
        self.assertEqual((row.command, row.directory), (["./program"], self.folder))

    def test_bad_lines_are_named(self):
        self.assert_refused("a wall /bin/true\nb wall\n", "suite:2: not NAME FIGURE COMMAND")
        self.assert_refused("a speed /bin/true\n", "suite:1: the figure is neither")
        self.assert_refused("a '([0-9' /bin/true\n", "suite:1: ")
        self.assert_refused("a wall 'open\n", "suite:1: No closing quotation")
        self.assert_refused("a wall /no/such\n", "suite:1: no such program: /no/such")
        self.assert_refused("a wall /bin/true\na cpu /bin/true\n", "suite:2: a is there twice")
        self.assert_refused("# nothing\n", "no benchmark in it")

    def test_a_folder_without_a_list_is_refused(self):
        with self.assertRaisesRegex(failure, "cannot read"):
            external.benchmarks(self.folder / "nowhere")


if __name__ == "__main__":
    unittest.main()
