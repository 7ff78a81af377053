"""quarry options: the options of QUARRY_CONF, as the library itself documents them."""

import ctypes
import sys

import build


def options():
    library = ctypes.CDLL(str(build.library()))
    sys.stdout.flush()
    library.quarry_print_options(sys.stdout.fileno())
