"""What can be said on the command line of quarry bench."""

import argparse
import pathlib
import re

from build import ROOT


def add_arguments(parser):
    parser.add_argument("--quick", action="store_true", help="smaller work, in at most 3 minutes instead of 40")
    parser.add_argument("--only", type=expression, default=".", metavar="REGEX",
                        help="only the benchmarks whose SUITE/NAME matches")
    parser.add_argument("--rounds", type=positive, metavar="N",
                        help="this many, however long it takes (default: up to 3 in the time there is)")
    parser.add_argument("--latency", action="store_true", help="record the time of each call in the workloads")
    parser.add_argument("--allocator", action="append", default=[], type=named_library, metavar="NAME=FILE.so",
                        help="one more, or another file for a known NAME")
    parser.add_argument("--without", action="append", default=[], metavar="NAME", help="leave this allocator out")
    parser.add_argument("--suite", action="append", default=[], metavar="DIR",
                        help="also the programs listed in DIR/suite (see bench/README.md)")
    parser.add_argument("--compare", nargs="+", default=[], metavar=("OLD.json", "NEW.json"),
                        help="show what changed since the run OLD; with NEW, run nothing and compare the two")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "bench/results", metavar="DIR",
                        help="where the figures and the report go (default: bench/results)")
    parser.add_argument("--no-report", action="store_true", help="the figures alone")
    parser.add_argument("--build", type=pathlib.Path, metavar="DIR",
                        help="measure what is built in DIR, as it is, instead of building")


def expression(text):
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"not a regular expression: {text}: {error}") from None


def positive(text):
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"not a number of at least 1: {text}")
    return int(text)


def named_library(text):
    name, separator, file = text.partition("=")
    if not (name and separator and pathlib.Path(file).is_file()):
        raise argparse.ArgumentTypeError(f"not NAME=FILE with an existing file: {text}")
    return name, str(pathlib.Path(file).resolve())
