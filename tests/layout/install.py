"""An installation used as its users would: by CMake and by pkg-config, from C and from C++.

The programs built are in consumer/. Each says whether its blocks lie in Quarry's slabs, by slabinfo;
where Quarry is linked into the program itself, glibc's malloc must not be in it.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

BUILD = os.environ["QUARRY_BUILD"]
CONSUMER = pathlib.Path(__file__).with_name("consumer")
COMPILERS = {"c": os.environ["CC"], "cpp": os.environ["CXX"]}


def output_of(*command, **environment):
    done = subprocess.run(list(map(str, command)), env=os.environ | environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise AssertionError(f"{command}: status {done.returncode}\n{done.stdout}")
    return done.stdout


class Installation(unittest.TestCase):
    """Installs into a folder that goes away again; what the tests of both kinds share."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="quarry-install-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.prefix = cls.folder / "prefix"
        output_of("cmake", "--install", BUILD, "--prefix", cls.prefix)
        (cls.pkg_config_folder,) = {path.parent for path in cls.prefix.rglob("quarry.pc")}
        cls.library_folder = cls.pkg_config_folder.parent

    def cmake_build(self, language, target, *definitions):
        """Builds a consumer, a project of one language, against an imported target."""
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        output_of("cmake", "-S", CONSUMER / language, "-B", folder, f"-DCMAKE_PREFIX_PATH={self.prefix}",
                  f"-DCONSUMER_TARGET={target}", *definitions)
        output_of("cmake", "--build", folder)
        return folder / "consumer"

    def pkg_config(self, *arguments):
        return output_of("pkg-config", *arguments, "quarry",
                         PKG_CONFIG_PATH=str(self.pkg_config_folder)).split()

    def compile(self, language, *flags):
        program = pathlib.Path(tempfile.mkdtemp(dir=self.folder)) / language
        output_of(COMPILERS[language], f"-I{CONSUMER}", CONSUMER / language / f"main.{language}",
                  "-o", program, *flags)
        return program

    def assert_runs_on_quarry(self, program):
        output = output_of(program, LD_LIBRARY_PATH=str(self.library_folder))
        self.assertIn("malloc is Quarry's", output)

    def assert_contains_only_quarry(self, program):
        symbols = {line.split()[-1] for line in output_of("nm", program).splitlines()}
        self.assertTrue({"malloc", "quarry_slabinfo"} <= symbols, "Quarry is not linked into the program")
        self.assertFalse("_int_malloc" in symbols, "glibc's malloc is linked into the program")


class Shared(Installation):
    def test_through_cmake(self):
        for language in COMPILERS:
            program = self.cmake_build(language, "quarry::shared")
            self.assert_runs_on_quarry(program)
            self.assertIn("libquarry.so", output_of("readelf", "-d", program))

    def test_through_pkg_config(self):
        flags = self.pkg_config("--cflags", "--libs")
        for language in COMPILERS:
            self.assert_runs_on_quarry(self.compile(language, *flags))

    def test_by_the_linker_flag_alone(self):
        flags = [f"-I{self.prefix}/include", f"-L{self.library_folder}", "-lquarry"]
        for language in COMPILERS:
            self.assert_runs_on_quarry(self.compile(language, *flags))


class Static(Installation):
    def assert_static(self, program):
        self.assertNotIn("INTERP", output_of("readelf", "-lW", program))

    def test_through_cmake_beside_a_shared_libc(self):
        for language in COMPILERS:
            program = self.cmake_build(language, "quarry::static")
            self.assert_contains_only_quarry(program)
            self.assert_runs_on_quarry(program)
            self.assertNotIn("libquarry", output_of("readelf", "-d", program))

    def test_through_cmake_in_a_static_program(self):
        for language in COMPILERS:
            program = self.cmake_build(language, "quarry::static", "-DCMAKE_EXE_LINKER_FLAGS=-static")
            self.assert_contains_only_quarry(program)
            self.assert_runs_on_quarry(program)
            self.assert_static(program)

    def test_through_pkg_config_in_a_static_program(self):
        flags = self.pkg_config("--static", "--cflags", "--libs")
        for language in COMPILERS:
            program = self.compile(language, "-static", *flags)
            self.assert_contains_only_quarry(program)
            self.assert_runs_on_quarry(program)
            self.assert_static(program)


if __name__ == "__main__":
    unittest.main()
