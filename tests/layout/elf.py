"""The shared object as the loader sees it: what it needs, and what it exports."""

import os
import pathlib
import re
import subprocess
import unittest

LIBRARY = os.environ["QUARRY_LIBRARY"]
HEADERS = pathlib.Path(os.environ["QUARRY_SOURCE"]) / "include/quarry"

MALLOC_FAMILY = set(
    "malloc free calloc realloc reallocarray posix_memalign aligned_alloc memalign valloc pvalloc cfree"
    " malloc_usable_size malloc_trim mallinfo mallinfo2 mallopt malloc_stats malloc_info free_sized"
    " free_aligned_sized".split())

# The allocating names that glibc itself exports with the prefix, but for GLIBC_PRIVATE ones.
LIBC_NAMES = {"__libc_" + name for name in "malloc free calloc realloc memalign valloc pvalloc".split()}

# Names of older versions of glibc, which other allocators define too.
OLD_NAMES = {"__libc_cfree", "__posix_memalign"}

# Itanium C++ ABI 5.1.3: nw, na, dl, da are new, new[], delete, delete[]. [new.delete] of C++20.
NEW = {f"_Z{operator}m{rest}" for operator in ("nw", "na")
       for rest in ("", "RKSt9nothrow_t", "St11align_val_t", "St11align_val_tRKSt9nothrow_t")}
DELETE = {f"_Z{operator}Pv{rest}" for operator in ("dl", "da")
          for rest in ("", "m", "RKSt9nothrow_t", "St11align_val_t", "mSt11align_val_t",
                       "St11align_val_tRKSt9nothrow_t")}


def output_of(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


class Dynamic(unittest.TestCase):
    def setUp(self):
        self.dynamic = output_of("readelf", "-dW", LIBRARY)
        self.headers = output_of("readelf", "-lW", LIBRARY)

    def test_needs_libc_alone(self):
        needed = re.findall(r"\(NEEDED\).*\[(.*)\]", self.dynamic)
        others = [name for name in needed if not re.match(r"libc\.so\.|ld-linux", name)]
        self.assertIn("libc.so.6", needed)
        self.assertEqual(others, [])

    def test_has_no_thread_local_storage(self):
        self.assertIn("LOAD", self.headers)
        self.assertNotRegex(self.headers, r"(?m)^\s+TLS\b")

    def test_has_no_text_relocations(self):
        self.assertNotIn("TEXTREL", self.dynamic)

    def test_is_bound_at_once_and_never_unloaded(self):
        flags = re.search(r"\(FLAGS_1\).*", self.dynamic)
        self.assertIsNotNone(flags)
        self.assertRegex(flags[0], r"\bNOW\b")
        self.assertRegex(flags[0], r"\bNODELETE\b")

    def test_has_no_writable_code(self):
        for line in self.headers.splitlines():
            if line.split()[:1] == ["LOAD"]:
                self.assertNotIn("WE", line.replace(" ", ""), line)
        self.assertRegex(self.headers, r"GNU_STACK.*RW\s")


class Symbols(unittest.TestCase):
    def setUp(self):
        lines = output_of("nm", "-D", "--defined-only", "--format=posix", LIBRARY).splitlines()
        self.exported = {line.split()[0].split("@")[0] for line in lines if line.split()[1] != "A"}

    def test_exports_the_malloc_family(self):
        self.assertEqual((MALLOC_FAMILY | LIBC_NAMES) - self.exported, set())

    def test_exports_every_operator_new_and_delete(self):
        self.assertEqual((NEW | DELETE) - self.exported, set())

    def test_exports_all_that_its_headers_declare(self):
        declared = set()
        for header in HEADERS.glob("*.h"):
            text = header.read_text()
            declared |= {"quarry_" + name for name in re.findall(r"QUARRY_SYMBOL\((?!name)(\w+)\)", text)}
            declared |= set(re.findall(r"^\w+ (quarry_\w+)\(", text, re.MULTILINE))
        self.assertIn("quarry_kmem_cache_create", declared)
        self.assertIn("quarry_slabinfo", declared)
        self.assertEqual(declared - self.exported, set())

    def test_exports_nothing_else(self):
        foreign = self.exported - MALLOC_FAMILY - LIBC_NAMES - OLD_NAMES - NEW - DELETE
        self.assertEqual({name for name in foreign if not name.startswith("quarry_")}, set())


class Pages(unittest.TestCase):
    """Each page is a page fault more for every program that starts."""

    def test_a_program_that_hardly_allocates_writes_to_few(self):
        program = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   env={"LD_PRELOAD": LIBRARY})
        with program:
            program.stdin.write(b"x")
            program.stdin.flush()
            self.assertEqual(program.stdout.read(1), b"x", "it has not started")
            smaps = pathlib.Path(f"/proc/{program.pid}/smaps").read_text()
            program.stdin.close()
        self.assertLessEqual(written_bytes(smaps), 11 * 4096)

    def test_what_every_operation_reads_is_at_no_headers_page_offset(self):
        address = re.search(r"^(\w+) \w _ZN6quarry6percpu9area_baseE$", output_of("nm", LIBRARY), re.MULTILINE)
        self.assertIsNotNone(address)
        self.assertLess(int(address[1], 16) % 4096, 1024, "see area_origin in percpu/area.h")


def written_bytes(smaps):
    """What was written to of the library's mappings and of the one behind them, its zeroed variables."""
    written, ours = 0, False
    for line in smaps.splitlines():
        fields = line.split()
        if not fields[0].endswith(":"):
            is_file = line.endswith("/libquarry.so")
            ours = is_file or ours and len(fields) == 5
        elif ours and fields[0] == "Anonymous:":
            written += int(fields[1]) * 1024
    return written


if __name__ == "__main__":
    unittest.main()
