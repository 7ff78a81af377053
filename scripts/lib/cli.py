"""The command line of scripts/quarry; each subcommand is a module of its own."""

import argparse
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

    run = commands.add_parser(
        "run", help="run a program with Quarry preloaded; without a program, a short tour")
    run.add_argument("program", nargs="?", metavar="PROGRAM")
    run.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGS")
    run.set_defaults(action=lambda given: launch.run(given.program, given.arguments)
                     if given.program else tour.tour())

    show = commands.add_parser("options", help="print the options that QUARRY_CONF takes")
    show.set_defaults(action=lambda given: options.options())

    compare = commands.add_parser(
        "bench", help="measure Quarry beside other allocators",
        description="Measure Quarry beside other allocators, on the same work in the same minutes.")
    bench_arguments.add_arguments(compare)
    compare.set_defaults(action=bench)
    return parser.parse_args()


def bench(given):
    from harness import command  # here, so that no other command waits for all that it needs

    command.run(given)


def main():
    given = parse_arguments()
    try:
        given.action(given)
    except failure as error:
        print(f"quarry: {error}", file=sys.stderr)
        sys.exit(error.status)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
