"""What the harness and whoever reads its figures rely on in the workload programs."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.environ["QUARRY_SOURCE"] + "/bench/workloads")
from rows import rows

PROGRAMS = pathlib.Path(os.environ["QUARRY_PROGRAMS"])
LIBRARY = os.environ["QUARRY_LIBRARY"]


def run(program, *arguments, preload=""):
    return subprocess.run([PROGRAMS / program, *arguments], env=os.environ | {"LD_PRELOAD": preload},
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def figures(row, *more, preload=""):
    done = run(row.program, *row.quick, *more, preload=preload)
    if done.returncode != 0:
        raise AssertionError(f"{row.name}: status {done.returncode}: {done.stderr}")
    return dict(line.split() for line in done.stdout.splitlines())


class Arguments(unittest.TestCase):
    def refused(self, program, *arguments):
        done = run(program, *arguments)
        self.assertEqual(done.returncode, 2, (program, arguments))
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith(program) or f"/{program}:" in done.stderr, done.stderr)
        self.assertEqual(done.stdout, "")

    def test_bad_arguments_are_refused_in_one_line(self):
        bad = (["--threads", "0"], ["--threads", "two"], ["--operations", "-1"], ["--operations", "1e6"],
               ["--operations", "99999999999999999999"], ["--seed", ""], ["--seed"], ["--nonsense"], ["2"])
        for program in {row.program for row in rows}:
            for arguments in bad:
                self.refused(program, *arguments)

    def test_flags_that_contradict_each_other_are_refused(self):
        for program in "server", "pipeline", "pareto", "churn", "large", "idle", "burst":
            self.refused(program, "--smallest", "1000", "--largest", "100")
        self.refused("pipeline", "--threads", "1")
        self.refused("pipeline", "--threads", "4", "--consumers", "4")
        self.refused("kvstore", "--threads", "4", "--keys", "3")

    def test_the_least_work_is_work(self):
        for program in {row.program for row in rows} - {"pipeline"}:
            done = run(program, "--threads", "1", "--operations", "1")
            self.assertEqual(done.returncode, 0, done.stderr)


class Checksums(unittest.TestCase):
    def test_every_row_prints_the_same_whatever_the_allocator(self):
        for row in rows:
            first, second = figures(row), figures(row, preload=LIBRARY)
            for name in "operations", "checksum":
                self.assertEqual(first[name], second[name], row.name)

    def test_another_seed_is_other_work(self):
        for row in {row.program: row for row in rows}.values():
            self.assertNotEqual(figures(row)["checksum"], figures(row, "--seed", "2")["checksum"])


class Latency(unittest.TestCase):
    def test_the_calls_of_every_program_are_timed(self):
        for row in {row.program: row for row in rows}.values():
            with tempfile.TemporaryDirectory() as folder:
                file = pathlib.Path(folder) / "latency.json"
                timed = figures(row, "--latency", str(file))
                self.assertEqual(timed["checksum"], figures(row)["checksum"])
                calls = json.loads(file.read_text())
            self.check(row, calls)

    def check(self, row, calls):
        count = {name: durations["count"] for name, durations in calls.items()}
        taken = sum(count.get(name, 0) for name in ("malloc", "calloc", "new"))
        self.assertEqual(taken, count.get("free", 0) + count.get("delete", 0), row.name)
        for durations in calls.values():
            order = [durations[name] for name in ("p50_ns", "p99_ns", "p99.9_ns", "p99.99_ns", "max_ns")]
            self.assertEqual(order, sorted(order), row.name)
            self.assertLess(0, durations["mean_ns"])
            self.assertLessEqual(durations["mean_ns"], durations["max_ns"])
            self.assertEqual(durations["curve"], sorted(durations["curve"]), row.name)
            self.assertEqual(durations["curve"][-1], [100, durations["max_ns"]])

    def test_a_file_that_cannot_be_written_fails_the_run(self):
        done = run("trees", "--operations", "1", "--latency", "/nonexistent/file")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)


if __name__ == "__main__":
    unittest.main()
