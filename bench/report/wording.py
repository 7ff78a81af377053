"""How the report writes figures and facts."""

from harness.figures import PENALTY
from harness.table import short


def value(row, key, amount):
    return mebibytes(amount) if key == "peak_kib" else f"{short(amount)} {row['unit']}"


def mebibytes(kib):
    return f"{short(kib / 1024)} MiB"


def nanoseconds(amount):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if amount >= size:
            return f"{amount / size:,.3g} {unit}"
    return f"{amount:.3g} ns"


def count(amount, noun):
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s"


def shortened(text, length):
    return text if len(text) <= length else text[:length - 1].rstrip() + "…"


def measured(run):
    """When, how and on what."""
    machine, quick = run["machine"], " --quick" if run["quick"] else ""
    return (f"Measured {run['date'][:10]} with scripts/quarry bench{quick}, {count(run['rounds'], 'round')}, at "
            f"commit {run['quarry_commit']}, on {count(machine['cpus'], 'CPU')} of {machine['cpu']} with "
            f"{machine['memory_kib'] / 1024 ** 2:.1f} GiB of memory; {machine['system']}, Linux "
            f"{machine['kernel']}, {machine['libc']}.")


def suite_title(suite):
    return suite[:1].upper() + suite[1:]


FAILURES_COUNT = f"a failure counts as {PENALTY} times the best, or twice the worst"
