"""The geometric means: bars by suite, and cost against memory in one picture."""

import textwrap

from harness import figures
from harness.table import MEASURES, short

from report import bars as row_bars
from report import shares, wording
from report.drawing import ALARM, FAINT, INK, LINE, colours, drawing, weight

WIDTH, PITCH, GUTTER, GAP, ROOM = 392, 18, 84, 18, 34
PANEL = 46  # pixels of a panel's height beside its bars
TOP, NOTE = 42, 15
LONGEST = 4.0  # times the best, where the axis ends at the latest


def bars(run, key):
    """A panel for all suites together, then one for each; the allocators in the order of the first."""
    means = shares.means(run, key)
    first = next(iter(means.values()), {})
    order = sorted(figures.names(run), key=lambda name: first.get(name, float("inf")))
    notes = failure_notes(run)
    each = PITCH * len(order) + PANEL
    height = TOP + each * (1 + len(means) // 2) + NOTE * len(notes)
    picture = drawing(WIDTH, height, in_words(key, means))
    picture.text(0, 15, f"{wording.suite_title(MEASURES[key])} over the best", size=15, weight="bold")
    picture.text(0, 32, "geometric means; 1 is the best in every benchmark, shorter is better", color=FAINT)
    half = (WIDTH - GUTTER - GAP) / 2
    limit = axis_end(means)
    for position, (suite, found) in enumerate(means.items()):
        right = position > 0 and position % 2 == 0
        left, width = GUTTER + (half + GAP if right else 0), half if position else WIDTH - GUTTER
        top = TOP + each * ((position + 1) // 2)
        panel(picture, (left, top, width), suite, found, order, limit, colours(run), not right)
    for place, note in enumerate(notes):
        picture.text(0, height - 4 - NOTE * (len(notes) - 1 - place), note, color=ALARM)
    return picture


def panel(picture, place, suite, found, order, limit, colour, with_names):
    left, top, width = place
    picture.text(left, top + 14, heading(suite), size=12, weight="bold")
    axes = picture.axes(left, top + 20, width - ROOM, PITCH * len(order))
    row_bars.scale(axes, limit, len(order))
    row_bars.label(axes, order if with_names else [], 12)
    for line, name in enumerate(order):
        if name in found:
            share = shares.share(found[name], found[name], found[name])
            row_bars.bar(axes, line, share, limit, colour[name], name, 12)


def heading(suite):
    return "All suites, each with the same weight" if suite == shares.ALL else wording.suite_title(suite)


def axis_end(means):
    greatest = max((mean for found in means.values() for mean in found.values()), default=1)
    return max(min(greatest, LONGEST), 1.5)


def failure_notes(run):
    failed = ", ".join(f"{name} {number}" for name, number in shares.failed(run).items())
    return textwrap.wrap(f"Failed benchmarks: {failed}; {wording.FAILURES_COUNT}", 64) if failed else []


def in_words(key, means):
    said = [f"{suite}: " + ", ".join(f"{name} {short(mean)}" for name, mean in found.items())
            for suite, found in means.items()]
    return f"{MEASURES[key]} over the best, geometric means. {'; '.join(said)}"


def scatter(run):
    """Cost against memory, over the benchmarks that have both."""
    rows = [row for row in run["benchmarks"] if shares.has(run, row, "peak_kib")]
    cost, memory = (figures.means(rows, figures.names(run), key, figures.over_best) for key in MEASURES)
    points = {name: (cost[name], memory[name]) for name in cost if name in memory}
    words = "cost and peak memory over the best: " + ", ".join(
        f"{name} {short(x)} and {short(y)}" for name, (x, y) in points.items())
    picture = drawing(WIDTH, 460, words)
    picture.text(0, 15, "Cost against memory", size=15, weight="bold")
    picture.text(0, 32, "of the benchmarks that have both; nearer to the lower left is better", color=FAINT)
    if points:
        plane(picture, points, colours(run))
    return picture


def plane(picture, points, colour):
    axes = picture.axes(40, 70, WIDTH - 52, 340)
    ends = [1 + 1.12 * max(max(point[i] for point in points.values()) - 1, 0.1) for i in (0, 1)]
    axes.set_xlim(1 - (ends[0] - 1) * 0.03, ends[0])
    axes.set_ylim(1 - (ends[1] - 1) * 0.05, ends[1])
    axes.grid(color=LINE, lw=0.8)
    axes.locator_params(nbins=6)
    axes.xaxis.set_major_formatter("{x:.4g}×")
    axes.yaxis.set_major_formatter("{x:.4g}×")
    axes.set_xlabel("cost over the best", color=INK, size=11)
    picture.text(0, 60, "peak memory over the best")
    places = {name: axes.transData.transform(point) for name, point in points.items()}
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in places.values()]
    for name, point in points.items():
        axes.plot(*point, "o", ms=9, color=colour[name], mec="white", clip_on=False, zorder=3)
        label(axes, name, point, places[name], taken)


def label(axes, name, point, place, taken):
    """The name beside its point, on the first side where it covers nothing."""
    width = 7 * len(name)
    sides = [(dx, dy, side) for dy in (0, 13, -13, 26, -26)
             for dx, side in ((9, "left"), (-9, "right"), (0, "center")) if dy or side != "center"]
    for dx, dy, side in sides:
        left = place[0] + dx - {"left": 0, "right": width, "center": width / 2}[side]
        box = (left, place[1] + dy - 7, left + width, place[1] + dy + 7)
        if box[2] <= WIDTH and not any(overlap(box, other) for other in taken):
            break
    taken.append(box)
    axes.annotate(name, point, (dx, dy), textcoords="offset points", ha=side, va="center_baseline",
                  size=12, weight=weight(name), color=INK, annotation_clip=False)


def overlap(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
