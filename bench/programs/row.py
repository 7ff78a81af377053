"""The shape of a row: a real program at a piece of its usual work."""

from typing import Callable, NamedTuple


class row(NamedTuple):
    name: str
    packages: dict  # Debian package -> what it brings along, as in scripts/lib/packages.py
    prepare: Callable  # prepare(directory, quick) writes the inputs, the same whenever it runs
    command: list  # run in that directory; prints the same under every allocator
    environment: dict = {}
    driver: bool = False  # whether the command starts the measured process itself, see server.py
