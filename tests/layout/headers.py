"""The public headers as their users compile them: each alone, with every warning."""

import os
import pathlib
import subprocess
import tempfile
import unittest

INCLUDE = pathlib.Path(os.environ["QUARRY_SOURCE"]) / "include"
C = [os.environ["CC"], "-x", "c", "-std=c17"]
CXX = [os.environ["CXX"], "-x", "c++", "-std=c++20"]
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-pedantic"]


def headers(suffix):
    return sorted(path.relative_to(INCLUDE) for path in INCLUDE.rglob("*" + suffix))


class Headers(unittest.TestCase):
    def test_there_are_some(self):
        self.assertIn(pathlib.Path("quarry/stats.h"), headers(".h"))

    def test_c_headers_compile_alone_as_c17(self):
        for header in headers(".h"):
            self.check(C, header)

    def test_all_headers_compile_alone_as_cxx20(self):
        for header in headers(".h") + headers(".hpp"):
            self.check(CXX, header)

    def test_c_headers_compile_together_and_twice(self):
        self.check(C, *headers(".h"), *headers(".h"))
        self.check(CXX, *headers(".h"), *headers(".hpp"), *headers(".h"))

    def check(self, compiler, *names):
        with self.subTest(compiler=compiler[0], header=" ".join(map(str, names))):
            with tempfile.NamedTemporaryFile("w", suffix=".c") as source:
                source.writelines(f"#include <{name}>\n" for name in names)
                source.write("int quarry_translation_unit_is_not_empty;\n")
                source.flush()
                done = subprocess.run([*compiler, *WARNINGS, f"-I{INCLUDE}", "-fsyntax-only", source.name],
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    unittest.main()
