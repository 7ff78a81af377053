"""The README's table of a run: the means, and every row that Quarry loses."""

from harness import figures
from harness.table import FAR, MEASURES, short

from report import shares, wording


def summary(run):
    names = figures.names(run)
    parts = [f"{wording.measured(run)} {versions(run)}", table(["geometric mean over the best", *names],
                                                             list(mean_lines(run, names)))]
    lost = shares.losses(run)
    parts.append(f"Quarry takes {FAR} times the best or more in {len(lost)} of its {shares.medians(run)} medians"
                 f"{', the worst first:' if lost else '.'}")
    if lost:
        parts.append(table(["times the best", *names], [loss_line(run, names, *loss) for loss in lost]))
    return "\n\n".join([*parts, failures(run)]) + "\n"


def versions(run):
    told = [f"{name} {about['version']}" for name, about in run["allocators"].items() if not about.get("limit")]
    return f"Versions: {', '.join(told)}."


def mean_lines(run, names):
    for key, title in MEASURES.items():
        for suite, found in shares.means(run, key).items():
            least = min(found.values(), default=None)
            about = "all suites alike" if suite == shares.ALL else suite
            yield [f"{title}, {about}", *(cell(found.get(name), least) for name in names)]


def loss_line(run, names, row, key, _):
    found = shares.of(run, row, key)
    ratios = [found[name].ratio if name in found else None for name in names]
    title = "" if key == "cost" else f", {MEASURES[key]}"
    return [f"{row['suite']}: {row['name']}{title}", *(cell(ratio, 1) for ratio in ratios)]


def cell(ratio, least):
    if ratio is None:
        return "–"
    return f"**{short(ratio)}**" if ratio == least else short(ratio)


def failures(run):
    failed = shares.failures(run)
    if not failed:
        return "No benchmark failed under any allocator."
    told = "; ".join(f"{name} in {row['name']} ({first_words(reason)})" for row, name, reason in failed)
    return f"Failures, {wording.FAILURES_COUNT.removeprefix('a failure ')} in the means: {told}."


def first_words(reason):
    return wording.shortened(reason.split("\n")[0], 60).replace("|", "\\|")


def table(heads, lines):
    ruler = ["---", *["--:"] * (len(heads) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [heads, ruler, *lines])
