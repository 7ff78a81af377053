"""scripts/quarry bench as a user runs it."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from harness import command

ROOT = pathlib.Path(os.environ["QUARRY_SOURCE"])
BUILD = os.environ["QUARRY_BUILD"]
LIBRARY = f"{BUILD}/libquarry.so"
PEERS = ("jemalloc", "mimalloc", "tcmalloc", "tbb")


def bench(*arguments):
    return subprocess.run([ROOT / "scripts/quarry", "bench", *arguments], text=True, timeout=250,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


class Command(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_quick(self, only, *more):
        without = [word for name in PEERS for word in ("--without", name)]
        done = bench("--quick", "--build", BUILD, "--only", only, *without, "--no-report",
                     "--output", self.folder, *more)
        self.assertEqual(done.returncode, 0, done.stderr)
        (file,) = self.folder.glob("*.json")
        return done, file, json.loads(file.read_text())

    def test_two_workloads_under_two_allocators(self):
        names = [row.name for row in command.declared("workloads")[:2]]
        _, _, found = self.run_quick(f"^workloads/({'|'.join(map(re.escape, names))})$")
        self.assertEqual(found["schema"], 1)
        self.assertTrue(found["quick"])
        self.assertEqual(list(found["allocators"]), ["glibc", "quarry", "limit"])
        self.assertEqual(found["allocators"]["quarry"]["library"], "libquarry.so")
        self.assertEqual([row["name"] for row in found["benchmarks"]], names)
        for row in found["benchmarks"]:
            self.assertEqual(row["failures"], {})
            self.assertEqual(list(row["runs"]), ["glibc", "quarry"])
            for runs in row["runs"].values():
                self.assertEqual(len(runs), found["rounds"])
                self.assertTrue(all(run["cost"] > 0 and run["peak_kib"] > 500 for run in runs))

    def test_results_can_be_compared_with_others_and_shown_while_running(self):
        done, file, found = self.run_quick("^(start/true|micro/malloc_pair/16)$", "--rounds", "2")
        self.assertEqual(found["rounds"], 2)
        self.assertIn("round 2/2, 2/2 start/true", done.stderr)
        micro, _ = found["benchmarks"]
        self.assertIn("limit", micro["runs"])
        self.assertNotIn("peak_kib", micro["runs"]["quarry"][0])
        compared = bench("--compare", file, file)
        self.assertEqual(compared.returncode, 0, compared.stderr)
        self.assertRegex(compared.stdout, r"start/true .*\+0\.0%")
        self.assertRegex(bench("--compare", file).stderr, "only one is --quick")

    def test_a_reader_that_has_seen_enough_is_no_error(self):
        _, file, _ = self.run_quick("^start/true$", "--rounds", "1")
        for arguments in ["bench", "--compare", file, file], ["bench", "--help"]:
            with subprocess.Popen([ROOT / "scripts/quarry", *arguments], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE) as command:
                command.stdout.close()
                self.assertEqual(command.stderr.read(), b"")

    def test_bad_input_is_one_line_and_a_failure(self):
        nothing, unfinished, partial = (self.folder / name for name in ("nothing", "unfinished", "partial"))
        (unfinished / "bench/harness").mkdir(parents=True)
        for part in "CMakeCache.txt", "bench/harness/quarry_launch":
            (unfinished / part).touch()
        partial.write_text('{"schema": 1, "date": "", "quick": true, "allocators": {}, "benchmarks": []}')
        for arguments, reason in [
            (["--build", BUILD, "--only", "no such row"], "no benchmark matches"),
            (["--build", BUILD, "--without", "glibc"], "--without glibc: not one of"),
            (["--build", BUILD, "--allocator", f"glibc={LIBRARY}"], "--allocator glibc: what the others"),
            (["--build", nothing], "no benchmarks are built there"),
            (["--build", unfinished], "no benchmarks are built there"),
            (["--compare", nothing], "not the results of a run"),
            (["--compare", partial, partial], "'quarry_commit' is missing"),
            (["--suite", nothing, "--build", BUILD], "cannot read"),
        ]:
            done = bench(*arguments)
            self.assertEqual(done.returncode, 1, arguments)
            self.assertRegex(done.stderr, f"^quarry: .*{reason}[^\n]*\n$")


if __name__ == "__main__":
    unittest.main()
