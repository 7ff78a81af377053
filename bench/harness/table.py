"""The results as text: a table per suite and measure, and below what deserves a look."""

from harness import figures
from harness.allocators import LIMIT, SUBJECT, SYSTEM

NOTABLE = 1.15  # times the best
FAR = 1.3
MEASURES = {"cost": "cost", "peak_kib": "peak memory"}
OTHERS = {"wall": "wall time", "cpu": "processor time", "mean_kib": "mean memory", "minor_faults": "page faults"}
HEAD = 36  # columns for a row's name, and for each cell
CELL = 17


def show(results):
    names = figures.names(results)
    print(f"Each cell: times the best, times {SYSTEM}, and half the spread of the former over "
          f"{results['rounds']} rounds.\nA failed run counts as {figures.PENALTY} times the best, or "
          "twice the worst, in the geometric means.")
    for suite, benchmarks in figures.suites(results).items():
        for key, title in MEASURES.items():
            rows = [row for row in benchmarks if figures.comparable(row, names, key)]
            if rows:
                show_suite(results, f"{suite}: {title}", rows, key)
    show_means(results)
    for key, title in MEASURES.items():
        show_notable(results, title, key)
    show_failures(results)


def show_suite(results, title, rows, key):
    names = figures.names(results)
    with_limit = [LIMIT] if any(LIMIT in row["runs"] for row in rows) else []
    print("\n" + line(title, "best", names + with_limit))
    for row in rows:
        cells = [cell(row, names, name, key) for name in names]
        cells += [limit_cell(row, names, key) for _ in with_limit]
        print(line(row["name"], best(row, names, key), cells))
    print(line("geometric mean", "", mean_cells(rows, names, key)))


def show_means(results):
    """Of all that was measured; the clock that is the cost is not there twice."""
    names = figures.names(results)
    print("\n" + line("geometric means", "", names))
    for suite, rows in figures.suites(results).items():
        for key, title in (MEASURES | OTHERS).items():
            cells = mean_cells(rows, names, key)
            if any(cells) and any(row["cost"] != key for row in rows):
                print(line(f"{suite}: {title}", "", cells))


def mean_cells(rows, names, key):
    over_best = figures.means(rows, names, key, figures.over_best)
    over_system = figures.means(rows, names, key, figures.over_system)
    return [f"{ratios(over_best[name], over_system[name])}      " if name in over_best else "" for name in names]


def line(head, best, cells):
    return (f"{head:<{HEAD}} {best:>18}" + "".join(f" {cell:>{CELL}}" for cell in cells)).rstrip()


def best(row, names, key):
    value = min(figures.medians(row, names, key).values())
    if key == "peak_kib":
        return f"{value / 1024:,.1f} MiB"
    return f"{short(value)} {row['unit']}"


def cell(row, names, name, key):
    if name in row["failures"]:
        return row["failures"][name].split(":")[0][:CELL]
    if not figures.values(row, name, key):
        return ""
    both = ratios(figures.over_best(row, names, key)[name], figures.over_system(row, names, key)[name])
    least, greatest = figures.spread(row, name, figures.best(row, names, key), key)
    spread = f"±{(greatest - least) / (greatest + least) * 100:3.0f}%" if least < greatest else ""
    return f"{both} {spread:5}"


def limit_cell(row, names, key):
    """The least that could be, over the best there is."""
    found = figures.medians(row, [LIMIT], key)
    return short(found[LIMIT] / min(figures.medians(row, names, key).values())) if found else ""


def ratios(over_best, over_system):
    return f"{short(over_best):>5} {short(over_system):>5}"


def short(number):
    """Three digits or so."""
    if number >= 1000:
        return f"{number:,.0f}"
    return f"{number:.2f}" if number < 10 else f"{number:.1f}" if number < 100 else f"{number:.0f}"


def show_notable(results, title, key):
    """The rows in which Quarry is behind."""
    names = figures.names(results)
    ratios = [(figures.over_best(row, names, key).get(SUBJECT), row) for row in results["benchmarks"]
              if figures.comparable(row, names, key)]
    ratios = [(value, row) for value, row in ratios if value]
    behind = sorted((pair for pair in ratios if pair[0] > NOTABLE), key=lambda pair: -pair[0])
    if ratios:
        far = sum(value > FAR for value, _ in behind)
        print(f"\n{SUBJECT}'s {title} above {NOTABLE} times the best: {len(behind)} of {len(ratios)} rows;"
              f" above {FAR}: {far}", *(notable(value, row, names, key) for value, row in behind), sep="\n")


def notable(value, row, names, key):
    name = f"  {row['suite'] + '/' + row['name']:<{HEAD + 12}}"
    if SUBJECT in row["failures"]:
        return f"{name} failed, see below"
    other = figures.best(row, names, key)
    least, greatest = figures.spread(row, SUBJECT, other, key)
    return f"{name} {short(value)} times {other} ({short(least)}..{short(greatest)})"


def show_failures(results):
    failures = [(row, name, reason) for row in results["benchmarks"]
                for name, reason in row["failures"].items()]
    if failures:
        print()
    for row, name, reason in failures:
        print(f"failed: {row['suite']}/{row['name']} under {name}: {reason}")
