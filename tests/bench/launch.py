"""quarry_launch: what it measures of a program and of those that the program starts."""

import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

LAUNCH = pathlib.Path(os.environ["QUARRY_BUILD"]) / "bench/harness/quarry_launch"
MIB = 1024
ALLOCATE = "import time; block = b'x' * (100 << 20); time.sleep(0.3)"


class Launch(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = pathlib.Path(folder.name) / "measured"

    def launch(self, *arguments, **streams):
        return subprocess.run([LAUNCH, "-o", self.file, *arguments], timeout=60, **streams)

    def figures(self, *arguments, **streams):
        self.launch(*arguments, **streams)
        return json.loads(self.file.read_text())

    def test_output_and_status_pass_through(self):
        done = self.launch("", "/bin/sh", "-c", "echo out; echo err >&2; exit 3", capture_output=True)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (3, b"out\n", b"err\n"))
        self.assertEqual(json.loads(self.file.read_text())["status"], 3)

    def test_a_signal_is_a_negative_status(self):
        self.assertEqual(self.figures("", "/bin/sh", "-c", "kill -SEGV $$")["status"], -signal.SIGSEGV)

    def test_a_missing_program_is_named(self):
        done = self.launch("", "/no/such/program", stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 127)
        self.assertRegex(done.stderr, "/no/such/program: No such file")

    def test_peak_and_mean_are_those_of_a_grandchild(self):
        found = self.figures("-c", "", "/bin/sh", "-c", f'/usr/bin/python3 -c "{ALLOCATE}"; exit 0')
        self.assertGreater(found["peak_kib"], 100 * MIB)
        self.assertLess(found["peak_kib"], 160 * MIB)
        self.assertGreater(found["mean_kib"], 20 * MIB)
        self.assertLess(found["mean_kib"], found["peak_kib"])
        self.assertGreater(found["minor_faults"], 1000)
        self.assertGreater(len(found["curve"]), 5)
        self.assertLessEqual(max(kib for _, kib in found["curve"]), found["peak_kib"] + 10 * MIB)

    def test_the_launcher_itself_does_not_count(self):
        self.assertLess(self.figures("", "/bin/true")["peak_kib"], 4 * MIB)

    def test_processor_time_is_that_of_all_processes(self):
        spin = "import time\nwhile time.process_time() < 0.3: pass"
        found = self.figures("", "/bin/sh", "-c", f"/usr/bin/python3 -c '{spin}' & wait")
        self.assertGreater(found["user"] + found["system"], 0.29)
        self.assertGreater(found["wall"], 0.29)

    def test_repeated_starts_print_once(self):
        done = self.launch("-s", "5", "", "/bin/echo", "once", stdout=subprocess.PIPE)
        self.assertEqual(done.stdout, b"once\n")

    def test_a_signal_to_the_launcher_reaches_the_program(self):
        program = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"
        with subprocess.Popen([LAUNCH, "-o", self.file, "", "/bin/sh", "-c", program],
                              stdout=subprocess.PIPE) as launcher:
            launcher.stdout.readline()
            launcher.terminate()
            self.assertEqual(launcher.wait(30), 7)

    def test_a_program_that_hangs_when_nobody_looks_ends_with_the_launcher(self):
        program = 'mkdir "$1" && exit 0; echo hangs >&2; exec sleep 100'  # hangs in the second run
        for number in signal.SIGTERM, signal.SIGINT, signal.SIGKILL:
            mark = self.file.with_name(number.name)
            with subprocess.Popen([LAUNCH, "-s", "1", "-o", self.file, "", "/bin/sh", "-c", program, "sh", mark],
                                  stderr=subprocess.PIPE) as launcher:
                while launcher.stderr.readline() != b"hangs\n":
                    pass
                launcher.send_signal(number)
                launcher.communicate(timeout=30)  # the program's end closes the pipe
                self.assertEqual(launcher.returncode, -number)

    def test_what_a_program_leaves_behind_is_ended(self):
        begin = time.monotonic()
        done = self.launch("", "/bin/sh", "-c", "sleep 50 & exit 0", stdout=subprocess.PIPE)
        self.assertEqual(done.returncode, 0)
        self.assertLess(time.monotonic() - begin, 30)  # its end would close the pipe


if __name__ == "__main__":
    unittest.main()
