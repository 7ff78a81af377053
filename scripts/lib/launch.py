"""quarry run PROGRAM: the program in place of this process, with Quarry preloaded."""

import errno
import os
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys

import build
from failure import failure

PT_INTERP = 3


def run(program, arguments):
    path = find(program)
    for warning in obstacles(path):
        print(f"quarry: warning: {program} {warning}", file=sys.stderr)
    environment = preloaded(original_environment(), library())

    # Python ignores these two; a program starts with the default (signal(7), "Execution of ...").
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(path, [program, *arguments], environment)
    except OSError as error:
        if error.errno == errno.ENOEXEC:  # a script without "#!", as execvp(3) treats it
            os.execve("/bin/sh", ["sh", path, *arguments], environment)
        raise failure(f"{program}: {error.strerror}", 126) from None


def library():
    """The library, built if need be, where LD_PRELOAD can name it."""
    if re.search("[ :]", str(build.LIBRARY)):
        raise failure(f"LD_PRELOAD cannot carry a path with a space or colon: {build.LIBRARY}")
    return build.library()


def find(program):
    """The path of the program, found as a shell finds it, with a shell's exit statuses."""
    path = shutil.which(program)
    if path:
        return path
    if "/" in program and os.path.exists(program):
        reason = "is a directory" if os.path.isdir(program) else "permission denied"
        raise failure(f"{program}: {reason}", 126)
    raise failure(f"{program}: not found", 127)


def original_environment():
    """The environment as it was given: Python may have added LC_CTYPE to its own (PEP 538)."""
    with open("/proc/self/environ", "rb") as block:
        entries = block.read().split(b"\0")
    return dict(entry.split(b"=", 1) for entry in entries if b"=" in entry)


def preloaded(environment, library):
    """The environment with the library behind what is preloaded already.

    Behind, because tools that watch malloc and pass the call on have to come first.
    """
    library = os.fsencode(library)
    others = [entry for entry in re.split(rb"[ :]", environment.get(b"LD_PRELOAD", b"")) if entry]
    for other in others:
        if other != library and defines_malloc(other):
            print(f"quarry: warning: LD_PRELOAD has {os.fsdecode(other)}, whose malloc comes first",
                  file=sys.stderr)
    if library not in others:
        others.append(library)
    return environment | {b"LD_PRELOAD": b":".join(others)}


def defines_malloc(library):
    """Whether a library defines malloc; one named without a folder is not looked for."""
    try:
        symbols = subprocess.run(["readelf", "-W", "--dyn-syms", library], env={"PATH": os.defpath},
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except FileNotFoundError:  # without binutils nothing is known
        return None
    return re.search(rb" (?!UND)\S+ malloc(@.*)?$", symbols.stdout, re.MULTILINE)


def obstacles(path):
    """What keeps the loader from preloading into this program (ld.so(8), "Secure-execution mode")."""
    status = os.stat(path)
    if (status.st_mode & stat.S_ISUID and status.st_uid != os.geteuid()) or (
        status.st_mode & stat.S_ISGID and status.st_gid != os.getegid()
    ):
        yield "is set-uid or set-gid: the loader does not preload Quarry into it"
    elif os.geteuid() != 0 and has_capabilities(path):
        yield "has file capabilities: the loader does not preload Quarry into it"
    if is_static(path):
        yield "is statically linked: Quarry cannot be preloaded into it"


def has_capabilities(path):
    try:
        return "security.capability" in os.listxattr(path)
    except OSError:  # a file system without attributes
        return False


def is_static(path):
    """Whether a file is known to be a 64-bit ELF program that names no interpreter (elf(5))."""
    if not os.access(path, os.R_OK):
        return False
    with open(path, "rb") as file:
        header = file.read(64)
        if len(header) < 64 or header[:6] != b"\x7fELF\x02\x01":
            return False
        (offset,) = struct.unpack_from("<Q", header, 32)
        size, count = struct.unpack_from("<HH", header, 54)
        try:
            file.seek(offset)
            entries = file.read(size * count)
            return all(struct.unpack_from("<I", entries, i * size)[0] != PT_INTERP for i in range(count))
        except (OSError, ValueError, struct.error):  # a damaged file, of which the kernel says more
            return False
