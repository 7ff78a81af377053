"""Horizontal bars of ratios to the best: one line per allocator, the number at the end of each.

Bars begin at 0, so that lengths compare as the numbers do; one that is longer than the axis is
torn off at its end, and the number tells.
"""

from harness.figures import values
from harness.table import MEASURES, short

from report import shares, wording
from report.drawing import ALARM, FAINT, INK, LINE, colours, drawing, weight

WIDTH = 290
PITCH = 15
LIMIT = 3.0  # times the best, where the axis ends
ROOM = 34  # for the number behind the longest bar
TOP, BOTTOM = 2, 16
NUMBER = 10.5  # the size of its digits


def benchmark(run, row, key):
    """The bars of one benchmark."""
    found = shares.of(run, row, key)
    lines = [name for name in run["allocators"] if name in row["failures"] or values(row, name, key)]
    picture = drawing(WIDTH, TOP + PITCH * len(lines) + BOTTOM, in_words(row, key, lines, found))
    gutter = 12 + 6.4 * max(map(len, run["allocators"]))
    axes = picture.axes(gutter, TOP, WIDTH - gutter - ROOM, PITCH * len(lines))
    scale(axes, LIMIT, len(lines))
    label(axes, lines, NUMBER)
    for place, name in enumerate(lines):
        if name in found:
            bar(axes, place, found[name], LIMIT, colours(run)[name], name)
        else:
            number(axes, place, 0, wording.shortened(f"failed: {first_line(row, name)}", 30), NUMBER,
                   color=ALARM, weight="bold")
    return picture


def first_line(row, name):
    return row["failures"][name].split("\n")[0]


def in_words(row, key, lines, found):
    said = [f"{name} {short(found[name].ratio) if name in found else 'failed'}" for name in lines]
    return f"{row['name']}, {MEASURES[key]} over the best: {', '.join(said)}"


def scale(axes, limit, lines):
    """Full multiples of the best; the line at 1 is the best itself."""
    axes.set_xlim(0, limit)
    axes.set_ylim(lines - 0.5, -0.5)
    ticks = range(int(limit) + 1)
    axes.set_xticks(ticks, ["0", "best", *(f"{tick}×" for tick in ticks[2:])])
    axes.tick_params(axis="x", labelsize=9, pad=1)
    for tick in ticks[1:]:
        axes.axvline(tick, color=FAINT if tick == 1 else LINE, lw=0.8, zorder=3 if tick == 1 else 0)


def label(axes, lines, size):
    """The allocators' names before the bars."""
    axes.set_yticks(range(len(lines)), lines)
    for text, name in zip(axes.get_yticklabels(), lines):
        text.set(size=size, color=INK, weight=weight(name), va="center_baseline")


def bar(axes, place, share, limit, colour, name, size=NUMBER):
    axes.barh(place, min(share.ratio, limit), height=0.68, color=colour, zorder=2, clip_on=False)
    axes.plot([min(share.least, limit), min(share.greatest, limit)], [place, place], color=INK, lw=1,
              solid_capstyle="butt", zorder=4, clip_on=False)
    if share.ratio > limit:
        tear, slant = limit * 0.95, limit * 0.012
        axes.plot([tear - slant, tear + slant], [place + 0.5, place - 0.5], color="white", lw=2.5,
                  zorder=5, clip_on=False)
    end = min(max(share.ratio, share.greatest), limit)
    number(axes, place, end, short(share.ratio), size, color=INK, weight=weight(name))


def number(axes, place, end, text, size, **style):
    """Text behind a bar, on white, so that no line runs through it."""
    axes.annotate(text, (end, place), (4, 0), textcoords="offset points", size=size, zorder=6,
                  va="center_baseline", annotation_clip=False,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6}, **style)
