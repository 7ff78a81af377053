"""The command line of scripts/quarry; each subcommand is a module of its own."""

import argparse
import os
import signal
import sys

import build
import launch
import options
import tour
from failure import failure

sys.path.append(str(build.ROOT / "bench"))
from harness import arguments as bench_arguments


def parse_arguments():
    parser = argparse.ArgumentParser(prog="quarry", description="Run programs on the Quarry allocator.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    starter = commands.add_parser(
        "run", usage="%(prog)s [-h] [PROGRAM [ARGS...]]",
        help="run a program with Quarry preloaded; without a program, a short tour")
    starter.add_argument("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    starter.set_defaults(action=run)

    show = commands.add_parser("options", help="print the options that QUARRY_CONF takes")
    show.set_defaults(action=lambda given: options.options())

    compare = commands.add_parser(
        "bench", help="measure Quarry beside other allocators",
        description="Measure Quarry beside other allocators, on the same work in the same minutes.")
    bench_arguments.add_arguments(compare)
    compare.set_defaults(action=bench)
    return parser.parse_args()


def run(given):
    words = given.words[1:] if given.words[:1] == ["--"] else given.words  # any other is the program's
    if words:
        launch.run(words[0], words[1:])
    else:
        tour.tour()


def bench(given):
    from harness import command  # here, so that no other command waits for all that it needs

    command.run(given)


def perform():
    try:
        given = parse_arguments()
        given.action(given)
    finally:
        sys.stdout.flush()  # not at the exit, where no handler is left


def main():
    try:
        perform()
    except failure as error:
        print(f"quarry: {error}", file=sys.stderr)
        sys.exit(error.status)
    except BrokenPipeError:  # the reader has seen enough; what is left goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
