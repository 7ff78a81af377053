"""What a change did: Quarry's figures of two runs row by row, with the noise of both."""

from harness import figures, table
from harness.allocators import SUBJECT, SYSTEM

COLUMNS = "{:<44} {:>10} {:>5} {:>10} {:>5} {:>8} {:>8}  {}"


def show(old, new):
    """The change that counts is that of the ratio to glibc, since the machine may have changed too."""
    print(f"\n{SUBJECT} of {describe(old)} -> {describe(new)}; noise: half the spread over the rounds; "
          f"change: less what {SYSTEM} changed by")
    before = {(row["suite"], row["name"]): row for row in old["benchmarks"]}
    after = {(row["suite"], row["name"]): row for row in new["benchmarks"]}
    common = [row for row in after if row in before]
    for key, title in table.MEASURES.items():
        show_measure([(row, before[row], after[row]) for row in common], key, title)
    for which, rows in ("old", before.keys() - after.keys()), ("new", after.keys() - before.keys()):
        if rows:
            print(f"only in the {which} run: {len(rows)} rows")


def describe(results):
    return f"{results['quarry_commit']} ({results['date'][:10]}, {results['rounds']} rounds)"


def show_measure(pairs, key, title):
    rows = [(name, old, new) for name, old, new in pairs if in_both(old, new, key)]
    if not rows:
        return
    print("\n" + COLUMNS.format(title, "old", "noise", "new", "noise", SYSTEM, "change", "").rstrip())
    changes = []
    for (suite, name), old, new in rows:
        change, system, certain = difference(old, new, key)
        changes.append(change)
        cells = [cell for row in (old, new) for cell in figure_and_noise(row, key)]
        verdict = ("better" if change < 1 else "worse") if certain else ""
        print(COLUMNS.format(f"{suite}/{name}", *cells, percent(system), percent(change), verdict).rstrip())
    print(COLUMNS.format("geometric mean", "", "", "", "", "", percent(figures.geometric_mean(changes)),
                         "").rstrip())


def in_both(old, new, key):
    return all(figures.values(row, name, key) for row in (old, new) for name in (SUBJECT, SYSTEM))


def difference(old, new, key):
    """The change of the ratio to glibc, glibc's own change, and whether noise cannot explain the former."""
    medians = [figures.medians(row, [SUBJECT, SYSTEM], key) for row in (old, new)]
    system = medians[1][SYSTEM] / medians[0][SYSTEM]
    change = medians[1][SUBJECT] / medians[0][SUBJECT] / system
    (least, greatest), (new_least, new_greatest) = (figures.spread(row, SUBJECT, SYSTEM, key)
                                                    for row in (old, new))
    has_spread = all(len(figures.values(row, SUBJECT, key)) > 1 for row in (old, new))
    return change, system, has_spread and (new_least > greatest or new_greatest < least)


def figure_and_noise(row, key):
    values = figures.values(row, SUBJECT, key)
    median = figures.medians(row, [SUBJECT], key)[SUBJECT]
    noise = (max(values) - min(values)) / 2 / median
    return table.short(median), f"{noise * 100:.0f}%"


def percent(ratio):
    return f"{(ratio - 1) * 100:+.1f}%"
