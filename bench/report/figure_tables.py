"""The page's tables of everything that was measured, a line per benchmark and allocator."""

from html import escape
from statistics import median

from harness import figures
from harness.allocators import SYSTEM
from harness.table import short

from report import curves, shares, wording
from report.tables import anchor, kind_of, spread, table, td

CLOCKS = {"cpu": "processor time", "wall": "wall time"}
COUNT = "{:,.0f}".format
PLAIN = {"cpu": ("CPU s", short), "wall": ("wall s", short), "mean_kib": ("mean MiB", lambda kib: short(kib / 1024)),
         "minor_faults": ("minor faults", COUNT), "major_faults": ("major faults", COUNT)}
COMPARED = {"cost": ("cost", 1), "peak_kib": ("peak MiB", 1024)}
PERCENTILES = ("p50_ns", "p99_ns", "p99.9_ns", "p99.99_ns")


def of_rows(run, rows):
    """All that was measured of some rows; a column that none of them has is not there."""
    every = [one for row in rows for rounds in row["runs"].values() for one in rounds]
    compared = {key: what for key, what in COMPARED.items() if any(shares.has(run, row, key) for row in rows)}
    plain = {key: what for key, what in PLAIN.items() if any(key in one for one in every)}
    further = list(dict.fromkeys(name for one in every for name in one.get("figures", {})))
    heads = [""]
    for title, _ in compared.values():
        heads += [title, "least…greatest", "/ best", f"/ {SYSTEM}"]
    heads += [title for title, _ in plain.values()] + [escape(name) for name in further]
    return table(heads, [body(run, row, (compared, plain, further), len(heads)) for row in rows])


def body(run, row, columns, width):
    lines = [("", [f'<th colspan="{width}" id="{anchor(row)}">{escape(row["name"])} '
                   f'<span class="faint">{escape(row["unit"])}, {CLOCKS[row["cost"]]}</span></th>'])]
    for name in run["allocators"]:
        if name in row["failures"]:
            cells = [f'<td class="alarm" colspan="{width - 1}">failed: {escape(row["failures"][name])}</td>']
        elif row["runs"].get(name):
            cells = measured(run, row, name, *columns)
        else:
            continue
        lines.append((kind_of(name), [td(escape(name)), *cells]))
    return lines


def measured(run, row, name, compared, plain, further):
    cells = []
    for key, (_, unit) in compared.items():
        cells += compare(run, row, name, key, unit)
    rounds = row["runs"][name]
    cells += [middle(rounds, key, form) for key, (_, form) in plain.items()]
    return cells + [middle([one.get("figures", {}) for one in rounds], figure, "{:,.4g}".format)
                    for figure in further]


def middle(rounds, key, form):
    """The median of what was recorded, a count of 0 included."""
    values = [one[key] for one in rounds if key in one]
    return td(form(median(values)) if values else "")


def compare(run, row, name, key, unit):
    """Median, spread, over the best, over glibc."""
    values = figures.values(row, name, key)
    if not values:
        return [td("")] * 4
    found = figures.medians(row, run["allocators"], key)
    best = figures.best(row, figures.names(run), key)
    kind = "best" if name == best else ""
    return [td(short(found[name] / unit), kind), td(spread(min(values) / unit, max(values) / unit)),
            td(short(found[name] / found[best]), kind),
            td(short(found[name] / found[SYSTEM]) if SYSTEM in found else "")]


def of_latency(run, row):
    heads = ["", "calls", "mean", *(key.removesuffix("_ns") for key in PERCENTILES), "worst"]
    return table(heads, [latency_body(run, row, call, len(heads)) for call in curves.calls(row)])


def latency_body(run, row, call, width):
    lines = [("", [f'<th colspan="{width}">{escape(row["name"])}: {escape(call)}</th>'])]
    for name in run["allocators"]:
        recorded = curves.histograms(row, name, call)
        if recorded:
            times = [median(each[key] for each in recorded) for key in ("mean_ns", *PERCENTILES)]
            times.append(max(each["max_ns"] for each in recorded))
            calls = median(each["count"] for each in recorded)
            lines.append((kind_of(name), [td(escape(name)), td(f"{calls:,.0f}"),
                                          *(td(wording.nanoseconds(time)) for time in times)]))
    return lines
