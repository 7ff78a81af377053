"""Latency over percentiles and memory over time: a line per allocator, its name at the end."""

import math
from statistics import median, median_low

from harness.allocators import SUBJECT
from harness.table import short

from report import wording
from report.drawing import INK, LEADER, LINE, colours, drawing, weight

WIDTH, HEIGHT = 392, 270
LEFT, TOP, BOTTOM = 50, 24, 34
NAMES = 78  # room for the names behind the lines' ends
APART = 12  # of two names, at least
PERCENTILES = (0, 50, 90, 99, 99.9, 99.99, 99.999)


def latency(run, row, call):
    """Of one call, on the axes that all calls of this workload have."""
    lines = latency_lines(run, row, call)
    picture, axes = plane(f"time of a {call} call by percentile, {row['name']}: " + ", ".join(
        f"{name} worst {wording.nanoseconds(points[-1][1])}" for name, points in lines.items()),
        f"time of a {call} call")
    axes.set_xlim(0, nines(PERCENTILES[-1]))
    axes.set_xticks(list(map(nines, PERCENTILES)), [f"{p:g}" for p in PERCENTILES])
    axes.set_xlabel("percentile of the calls", color=INK, size=10)
    axes.set_yscale("log")
    axes.set_ylim(*with_room([ns for each in calls(row)
                            for points in latency_lines(run, row, each).values()
                            for _, ns in points]))
    axes.yaxis.set_major_formatter(lambda ns, _: wording.nanoseconds(ns))
    axes.minorticks_off()
    draw(axes, {name: [(nines(p), ns) for p, ns in points] for name, points in lines.items()},
         colours(run))
    return picture


def calls(row):
    """The calls with a histogram, in the order in which the workload names them."""
    return list(dict.fromkeys(call for rounds in row["runs"].values() for one in rounds
                              for call in one.get("latency", {})))


def histograms(row, name, call):
    """What each round says of a call; most rounds have not recorded it."""
    rounds = [] if name in row["failures"] else row["runs"].get(name, [])
    return [one["latency"][call] for one in rounds if call in one.get("latency", {})]


def latency_lines(run, row, call):
    found = {name: latency_points(histograms(row, name, call)) for name in run["allocators"]}
    return {name: points for name, points in found.items() if points}


def latency_points(recorded):
    """[(percentile, ns)]: at each percentile of the first round the median of all rounds."""
    curves = [histogram["curve"] for histogram in recorded if histogram.get("curve")]
    percentiles = sorted({p for p, _ in curves[0]} | {PERCENTILES[-1]}) if curves else []
    points = [(p, median(at(curve, p) for curve in curves))
              for p in percentiles if p <= PERCENTILES[-1]]
    return [(p, ns) for p, ns in points if ns > 0]


def at(curve, percentile):
    """The time within which so many of the calls were done: of the first point that has as many."""
    return next((ns for p, ns in curve if p >= percentile), curve[-1][1])


def nines(percentile):
    """0, 90, 99, 99.9 ... at equal steps."""
    return -math.log10(1 - percentile / 100)


def with_room(values):
    """The least and greatest, with some room."""
    return min(values, default=1) / 1.5, max(values, default=10) * 1.5


def memory(run, row):
    """Resident memory over the run, from 0 up; None if no run recorded it."""
    curves = {name: resident(row, name) for name in run["allocators"]}
    lines = {name: [(seconds, kib / 1024) for seconds, kib in curve]
             for name, curve in curves.items() if curve}
    if not lines:
        return None
    picture, axes = plane(f"resident memory over time, {row['name']}: " + ", ".join(
        f"{name} {short(points[-1][1])} MiB at the end" for name, points in lines.items()),
        "resident memory, MiB")
    axes.set_xlim(0, max(points[-1][0] for points in lines.values()))
    axes.set_ylim(0, 1.05 * max(mib for points in lines.values() for _, mib in points))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("seconds", color=INK, size=10)
    draw(axes, lines, colours(run))
    return picture


def resident(row, name):
    """[[seconds, KiB]] of one round, the one whose peak is the median; None if none recorded it."""
    rounds = [] if name in row["failures"] else row["runs"].get(name, [])
    curves = [one["curve"] for one in rounds if one.get("curve")]
    peaks = [max(kib for _, kib in curve) for curve in curves]
    return curves[peaks.index(median_low(peaks))] if curves else None


def plane(words, title):
    picture = drawing(WIDTH, HEIGHT, words)
    picture.text(0, 12, title, size=11)
    axes = picture.axes(LEFT, TOP, WIDTH - LEFT - NAMES, HEIGHT - TOP - BOTTOM)
    axes.grid(color=LINE, lw=0.8)
    return picture, axes


def draw(axes, lines, colour):
    """The lines, Quarry's above the others, a dot where each ends, and their names beside the right edge."""
    for name, points in lines.items():
        own = name == SUBJECT
        axes.plot(*zip(*points), color=colour[name], lw=2.2 if own else 1.4, zorder=4 if own else 3,
                  clip_on=False, solid_joinstyle="round")
        axes.plot(*points[-1], "o", ms=4, color=colour[name], zorder=4, clip_on=False)
    edge = axes.bbox.x1
    ends = {name: axes.transData.transform(points[-1]) for name, points in lines.items()}
    heights = spread({name: end[1] for name, end in ends.items()}, axes.bbox.y0, axes.bbox.y1)
    for name, height in heights.items():
        axes.annotate(name, ends[name], (edge + 12, height), xycoords="figure pixels",
                      textcoords="figure pixels", size=10.5, weight=weight(name), color=INK,
                      va="center_baseline", annotation_clip=False,
                      arrowprops={"arrowstyle": "-", "color": LEADER, "lw": 0.8,
                                  "shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5)})


def spread(heights, floor, ceiling):
    """The heights moved apart, each as little as its neighbours and the ends allow."""
    def placed(names):
        middle = sum(heights[name] - APART * i for i, name in enumerate(names)) / len(names)
        return [names, max(min(middle, ceiling - APART * (len(names) - 1)), floor)]

    groups = []  # of names that touch, with the height of the lowest
    for name in sorted(heights, key=heights.get):
        groups.append(placed([name]))
        while len(groups) > 1 and groups[-2][1] + APART * len(groups[-2][0]) > groups[-1][1]:
            upper, lower = groups.pop(), groups.pop()
            groups.append(placed(lower[0] + upper[0]))
    return {name: lowest + APART * i for names, lowest in groups for i, name in enumerate(names)}
