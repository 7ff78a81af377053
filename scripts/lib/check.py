"""scripts/test: every build and every test, and at the end one line with the counts.

A build that fails counts as one failed test; nothing stops before the end, so that all failures
are seen in one run.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

import packages
from build import BUILD, ROOT
from failure import failure

FORMATTED = ("src", "preload", "include", "tests", "bench")
SUFFIXES = (".h", ".hpp", ".c", ".cpp")

GCC = ("gcc", "-DCMAKE_C_COMPILER=gcc", "-DCMAKE_CXX_COMPILER=g++", "-DQUARRY_BENCH=ON")
# Clang checks the locks of the layers as well (-Wthread-safety, src/CMakeLists.txt).
CLANG = ("clang", "-DCMAKE_C_COMPILER=clang", "-DCMAKE_CXX_COMPILER=clang++", "-DQUARRY_BENCH=ON")
SANITIZERS = ("sanitizers", "-DCMAKE_C_COMPILER=clang", "-DCMAKE_CXX_COMPILER=clang++",
              "-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DQUARRY_SANITIZE=address,undefined")


class suite:
    """The steps, and what they found."""

    def __init__(self, filter_arguments):
        self.filter_arguments = filter_arguments
        self.passed = 0
        self.failures = []
        self.skipped = []

    def step(self, name, *command):
        """One command that passes or fails as a whole."""
        print(f"\n=== {name}", flush=True)
        done = subprocess.run(command, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            self.failures.append(name)
        return done.returncode == 0

    def build(self, name, *definitions):
        folder = BUILD / name
        if not self.step(f"configure {name}", "cmake", "-S", ROOT, "-B", folder, "-G", "Unix Makefiles",
                         "-DQUARRY_TESTS=ON", "-DQUARRY_WERROR=ON", *definitions):
            return False
        jobs = str(os.cpu_count())
        self.step(f"build {name}", "cmake", "--build", folder, "-j", jobs, "--", "--keep-going")
        return True  # what could be built is tested nevertheless

    def test(self, name, *selection):
        """Runs the tests of a build one after the other: some measure memory or fill every CPU."""
        with tempfile.TemporaryDirectory() as folder:
            results = pathlib.Path(folder) / "results.xml"
            ended_well = self.step(
                f"test {name}", "ctest", "--test-dir", BUILD / name, "--output-on-failure",
                "--output-junit", results, *selection, *self.filter_arguments)
            if not ended_well:
                self.failures.pop()  # its tests are counted one by one
            failed_before = len(self.failures)
            if results.exists():
                self.count(name, xml.etree.ElementTree.parse(results).getroot())
            if not ended_well and len(self.failures) == failed_before:
                self.failures.append(f"{name}: ctest itself, see above")

    def count(self, build, results):
        for case in results.iter("testcase"):
            name = f"{build}: {case.get('name')}"
            output = case.findtext("system-out") or ""
            if case.find("failure") is not None:
                self.failures.append(name)
            elif not was_run(case):
                self.failures.append(f"{name}: not run")
            elif case.find("skipped") is None and "[  PASSED  ] 0 tests" not in output:
                self.passed += 1
            reasons = re.findall(r": Skipped\n(.*)|^SKIPPED: (.*)", output, re.MULTILINE)
            self.skipped += [f"{name}: {''.join(reason)}" for reason in dict.fromkeys(reasons)]

    def build_and_test(self, definitions, *selection):
        if self.build(*definitions):
            self.test(definitions[0], *selection)

    def check_format(self):
        files = [path for folder in FORMATTED for path in sorted((ROOT / folder).rglob("*"))
                 if path.suffix in SUFFIXES]
        if self.step("clang-format", "clang-format", "--dry-run", "-Werror", *files):
            self.passed += 1

    def report(self):
        print()
        for name in self.skipped:
            print(f"skipped, in part or whole: {name}")
        for name in self.failures:
            print(f"failed: {name}")
        print(f"{self.passed} passed, {len(self.failures)} failed", flush=True)
        return 1 if self.failures or not self.passed else 0


def was_run(case):
    """Whether a test began: ctest calls "skipped" also what it could not start."""
    skipped = case.find("skipped")
    return skipped is None or (skipped.get("message") or "").startswith("SKIP_")


def environment():
    """Without what would make the tests run on something else than what was built here."""
    unwanted = ("LD_PRELOAD", "QUARRY_CONF", "GLIBC_TUNABLES", "CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS")
    return {name: value for name, value in os.environ.items() if name not in unwanted}


def parse_arguments():
    parser = argparse.ArgumentParser(prog="scripts/test", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the GCC build and its tests alone")
    parser.add_argument("-R", metavar="REGEX", help="only the tests whose name matches (see ctest)")
    return parser.parse_args()


def main():
    given = parse_arguments()
    try:
        packages.ensure(packages.TESTS)
    except failure as error:
        print(f"scripts/test: {error}", file=sys.stderr)
        sys.exit(error.status)
    tests = suite(["-R", given.R] if given.R else ["--no-tests=error"])
    tests.build_and_test(GCC)
    if not given.quick:
        tests.build_and_test(CLANG, "-L", "unit|linked")
        tests.build_and_test(SANITIZERS)
        tests.check_format()
    sys.exit(tests.report())


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
