"""The fast paths in the shared object, by their number of instructions: from the entry to the first ret, along the way
that is taken when no branch is."""

import os
import re
import shutil
import subprocess
import unittest

LIBRARY = os.environ["QUARRY_LIBRARY"]

# Of the build by GCC, the ret included.
MOST = {
    "malloc": 19,
    "_Znwm": 19,  # operator new(std::size_t)
    "quarry_kmalloc": 21,
    "quarry_kmem_cache_alloc": 18,
    "free": 22,
    "_ZdlPv": 22,  # operator delete(void*), and with a size
    "_ZdlPvm": 22,
    "_ZdaPv": 22,
    "quarry_kfree": 22,
    "quarry_kmem_cache_free": 23,
}

# Operators that are another one by default, whosever that is: new[] is new, sized delete[] is delete[].
JUMPS = ("_Znam", "_ZdaPvm")

# From a register of 16 or 8 bits.
NARROW_STORE = re.compile(r"mov[bw]?\s+%(r\d+[wb]|[abcd][xlh]|[sd]il?|[sb]pl?),\S*\(")

INSTRUCTION = re.compile(r"^\s+[0-9a-f]+:\t(\S+)")

# What an instruction other than lea addresses from %rip: a variable's address is behind the #.
VARIABLE = re.compile(r"^(?!lea)\S+ .*\(%rip\).*# ([0-9a-f]+)")
CACHE_LINE = 64


def functions():
    """The instructions of each exported function, by address and by all of its names."""
    names = {}
    symbols = subprocess.run(("nm", "-D", "--defined-only", "--format=posix", LIBRARY),
                             stdout=subprocess.PIPE, check=True, text=True).stdout
    for line in symbols.splitlines():
        name, kind, address = line.split()[:3]
        if kind in "TW":
            names[name.split("@")[0]] = int(address, 16)
    return names


def path_from(address):
    """The instructions from there to the first ret."""
    listing = subprocess.run(
        ("objdump", "-d", "--no-show-raw-insn", f"--start-address={address:#x}", f"--stop-address={address + 1024:#x}",
         LIBRARY), stdout=subprocess.PIPE, check=True, text=True).stdout
    path = []
    for line in listing.splitlines():
        instruction = INSTRUCTION.match(line)
        if instruction:
            path.append(line.split("\t", 1)[1])
            if instruction[1].startswith("ret"):
                return path
    raise AssertionError(f"no ret within 1024 bytes of {address:#x}")


class Instructions(unittest.TestCase):
    def setUp(self):
        if not shutil.which("objdump"):
            self.fail("objdump is missing: it is in the package binutils")
        self.addresses = functions()

    def test_of_each_fast_path_are_no_more_than_these(self):
        for name, most in MOST.items():
            with self.subTest(function=name):
                path = path_from(self.addresses[name])
                self.assertLessEqual(len(path), most, "\n" + "\n".join(path))

    def test_of_what_is_another_operator_are_one(self):
        for name in JUMPS:
            with self.subTest(function=name):
                self.assertRegex(path_from(self.addresses[name])[0], "^jmp ")

    def test_of_a_fast_path_call_nothing(self):
        for name in MOST:
            with self.subTest(function=name):
                path = path_from(self.addresses[name])
                self.assertEqual([step for step in path if step.startswith("call")], [])

    def test_of_malloc_and_free_read_variables_of_one_cache_line(self):
        paths = [path_from(self.addresses[name]) for name in ("malloc", "_Znwm", "free", "_ZdlPv", "_ZdlPvm")]
        found = {int(match[1], 16) for path in paths for match in map(VARIABLE.match, path) if match}
        self.assertGreater(len(found), 5)
        self.assertEqual(len({address // CACHE_LINE for address in found}), 1, [hex(address) for address in sorted(found)])

    def test_of_a_fast_path_store_no_less_than_32_bits(self):
        """What the next operation loads must reach it by the fastest way, see struct header."""
        for name in MOST:
            with self.subTest(function=name):
                path = path_from(self.addresses[name])
                self.assertEqual([step for step in path if NARROW_STORE.match(step)], [])


if __name__ == "__main__":
    unittest.main()
