"""The page's tables that tell what happened and who is ahead; figure_tables.py has the full figures."""

from html import escape

from harness import figures
from harness.allocators import SUBJECT
from harness.table import FAR, MEASURES, short

from report import shares, wording


def table(heads, bodies, kind=""):
    """Cells are HTML already; a body is a list of lines, a line its class and its cells."""
    top = "".join(f"<th>{head}</th>" for head in heads)
    lines = "".join(f"<tbody>{''.join(line(*each) for each in body)}</tbody>" for body in bodies)
    return (f'<div class="scroll"><table class="{kind}"><thead><tr>{top}</tr></thead>{lines}'
            "</table></div>")


def line(kind, cells):
    return f'<tr class="{kind}">{"".join(cells)}</tr>' if kind else f'<tr>{"".join(cells)}</tr>'


def td(text, kind=""):
    return f'<td class="{kind}">{text}</td>' if kind else f"<td>{text}</td>"


def kind_of(name):
    return "quarry" if name == SUBJECT else ""


def allocators(run, colours):
    lines = []
    for name, about in run["allocators"].items():
        swatch = f'<span class="swatch" style="background:{colours[name]}"></span>'
        failed = shares.failed(run).get(name)
        library = escape(about["library"] or "the C library's own")
        if about.get("limit"):
            library += "<br>no allocator: the least that any could cost; never counted as the best"
        if failed:
            library += f'<br><b class="alarm">failed {wording.count(failed, "benchmark")}</b>'
        lines.append((kind_of(name), [td(swatch + escape(name)), td(escape(about["version"])), td(library)]))
    return table(["allocator", "version", "library"], [lines], "words")


def means(run):
    """Per allocator the geometric means, and how its rows lie."""
    heads, columns = [""], []
    for key, title in MEASURES.items():
        for suite, found in shares.means(run, key).items():
            heads.append(f"{title},<br>{'all alike' if suite == shares.ALL else escape(suite)}")
            columns.append(found)
    heads += ["cost is<br>best in", f"cost is {FAR}×<br>the best or more", "cost<br>at worst", "failed"]
    lines = [(kind_of(name), [td(escape(name)), *(mean(name, column) for column in columns),
                              *standing(run, name)]) for name in figures.names(run)]
    return table(heads, [lines])


def mean(name, column):
    if name not in column:
        return td("–")
    return td(short(column[name]), "best" if column[name] == min(column.values()) else "")


def standing(run, name):
    found = [shares.of(run, row, "cost") for row in run["benchmarks"]]
    ratios = [each[name].ratio for each in found if name in each]
    failed = shares.failed(run).get(name, 0)
    return [td(sum(ratio == 1 for ratio in ratios)), td(sum(ratio >= FAR for ratio in ratios)),
            td(f"{short(max(ratios))}×" if ratios else "–"), td(failed, "failures" if failed else "")]


def failures(run):
    lines = [(kind_of(name), [td(link(row)), td(escape(name)), td(escape(reason), "alarm")])
             for row, name, reason in shares.failures(run)]
    return table(["benchmark", "allocator", "what happened"], [lines], "words")


def losses(run):
    lines = [("", loss(run, row, key, share)) for row, key, share in shares.losses(run)]
    return table(["benchmark", "Quarry takes", "within a round", "Quarry", "the best", "which is"],
                 [lines], "losses")


def loss(run, row, key, share):
    best = figures.best(row, figures.names(run), key)
    found = figures.medians(row, [SUBJECT, best], key)
    values = [td(escape(wording.value(row, key, found[name]))) for name in (SUBJECT, best)]
    what = "" if key == "cost" else f' <span class="faint">{MEASURES[key]}</span>'
    return [td(link(row) + what), td(f"{short(share.ratio)}×"),
            td(spread(share.least, share.greatest)), *values, td(escape(best))]


def spread(least, greatest):
    return f"{short(least)}…{short(greatest)}"


def link(row):
    return f'<a href="#{anchor(row)}">{escape(row["name"])}</a>'


def anchor(row):
    return escape(f"{row['suite']}:{row['name']}".replace(" ", "_"))
