"""The report's one page, from top to bottom."""

import pathlib
from html import escape
from itertools import groupby

from harness import figures
from harness.allocators import SYSTEM
from harness.table import FAR, MEASURES

from report import bars, curves, drawing, figure_tables, means, shares, tables, wording

STYLE = pathlib.Path(__file__).with_name("page.css")
TITLE = "Quarry beside other allocators"


def html(run):
    sections = [(title, content) for title, content in content_of(run) if content]
    links = "".join(f'<a href="#{slug(title)}">{escape(title)}</a>' for title, _ in sections)
    body = "".join(f'<section><h2 id="{slug(title)}">{escape(title)}</h2>{content}</section>'
                   for title, content in sections)
    return (f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{TITLE}, {escape(run['date'])}</title><style>\n{STYLE.read_text()}</style></head>"
            f"<body>{head(run)}<nav>{links}</nav>{failures(run)}{body}</body></html>\n")


def slug(title):
    return "section-" + escape(title.lower().replace(" ", "-"))


def content_of(run):
    """(title, HTML) of the sections; the many micro rows after what concerns whole programs."""
    suites = [(suite, (wording.suite_title(suite), suite_section(run, rows)))
              for suite, rows in figures.suites(run).items()]
    return [("In short", in_short(run)),
            *(section for suite, section in suites if suite != "micro"),
            ("Memory over time", memory_section(run)),
            ("Latency", latency_section(run)),
            *(section for suite, section in suites if suite == "micro"),
            ("Every figure", figures_section(run))]


def head(run):
    quick = ('<p class="warning">A quick run: smaller work, to see that everything is in order. Not for conclusions.'
             "</p>") if run["quick"] else ""
    return (f"<header><h1>{TITLE}</h1>{quick}<p>{escape(wording.measured(run))}</p>"
            f'<div class="grid wide"><div>{tables.allocators(run, drawing.colours(run))}</div>'
            f"<div>{reading()}</div></div></header>")


def reading():
    return f"""<h3>How to read it</h3><ul>
<li>Every ratio is a median over the best median of its benchmark: 1 is the best, 2 takes twice as much.
How much faster or slower than usual the machine was in a round is taken out of times before.</li>
<li>The allocators took turns in each round. The thin line at the end of a bar spans the ratios to the best
within single rounds; differences smaller than these lines are noise.</li>
<li>Bars begin at 0. One beyond {bars.LIMIT:.0f} times the best is torn off; its number is the true one.</li>
<li>Memory is the greatest resident set. Cost is time, by the clock that the full figures name; processor time is
user and system time of all processes together.</li>
<li>In the geometric means {wording.FAILURES_COUNT}; a crash is one, and so is another result than under {SYSTEM}.
The mean of all suites gives each suite the same weight, however many rows it has.</li></ul>"""


def failures(run):
    failed = shares.failures(run)
    if not failed:
        return "<p>No benchmark failed under any allocator.</p>"
    return (f'<div class="failed"><h2>{wording.count(len(failed), "failure")}</h2>'
            f"{tables.failures(run)}</div>")


def in_short(run):
    pictures = [means.bars(run, "cost")]
    if any(shares.has(run, row, "peak_kib") for row in run["benchmarks"]):
        pictures += [means.bars(run, "peak_kib"), means.scatter(run)]
    shown = "".join(f"<figure>{picture.inline()}</figure>" for picture in pictures)
    lost = shares.losses(run)
    return (f'<div class="grid middle">{shown}</div>{tables.means(run)}'
            f"<h3>Where Quarry takes {FAR} times the best or more</h3>"
            f"<p>{len(lost)} of its {shares.medians(run)} medians of cost and of memory, the worst first.</p>"
            f"{tables.losses(run) if lost else ''}")


def suite_section(run, rows):
    """Side by side where memory was measured as well, else family by family."""
    if any(shares.has(run, row, "peak_kib") for row in rows):
        return f'<div class="grid wide">{"".join(card(run, row) for row in rows)}</div>'
    parts = []
    for family, members in groupby(rows, family_of):
        cards = "".join(card(run, row) for row in members)
        parts.append(f'<h3>{escape(family)}</h3><div class="grid narrow">{cards}</div>')
    return "".join(parts)


def family_of(row):
    return row["name"].split("/")[0]


def card(run, row):
    """A benchmark's bars: cost, and memory beside it where it was measured."""
    shown = "".join(f"<div><p>{MEASURES[key]}{best(run, row, key)}</p>"
                    f"{bars.benchmark(run, row, key).inline()}</div>"
                    for key in MEASURES if key == "cost" or shares.has(run, row, key))
    return f'<figure><figcaption>{tables.link(row)}</figcaption><div class="pair">{shown}</div></figure>'


def best(run, row, key):
    found = figures.medians(row, figures.names(run), key)
    return f", the best {escape(wording.value(row, key, min(found.values())))}" if found else ""


def memory_section(run):
    pictures = [(row, curves.memory(run, row)) for row in run["benchmarks"]]
    shown = "".join(f"<figure><figcaption>{tables.link(row)}</figcaption>{picture.inline()}</figure>"
                    for row, picture in pictures if picture)
    return shown and ("<p>Of each allocator the round whose peak is the median one.</p>"
                      f'<div class="grid middle">{shown}</div>')


def latency_section(run):
    shown = "".join(f"<figure><figcaption>{tables.link(row)}</figcaption>"
                    f"{curves.latency(run, row, call).inline()}</figure>"
                    for row in run["benchmarks"] for call in curves.calls(row))
    return shown and ("<p>How long single calls took, in runs of their own: reading the clock takes time, too. "
                      "Each step to the right is for ten times fewer calls; both axes are logarithmic.</p>"
                      f'<div class="grid middle">{shown}</div>')


def figures_section(run):
    parts = ["<p>Medians of all rounds, with the least and the greatest. The best of each benchmark is bold.</p>"]
    for suite, rows in figures.suites(run).items():
        parts.append(f"<h3>{escape(wording.suite_title(suite))}</h3>")
        parts += [folded(family, figure_tables.of_rows(run, list(members)))
                  for family, members in groupby(rows, family_of)]
    timed = [row for row in run["benchmarks"] if curves.calls(row)]
    if timed:
        parts.append("<h3>Latency</h3>")
        parts += [folded(row["name"], figure_tables.of_latency(run, row)) for row in timed]
    return "".join(parts)


def folded(title, content):
    return f"<details><summary>{escape(title)}</summary>{content}</details>"
