"""The report of a run: one page with every picture and figure, and what the README shows of it.

What it tells comes from the JSON alone, by way of harness/figures.py.
"""

import pathlib

import packages
from harness import results


def write(json_path, directory):
    """Makes DIRECTORY/index.html, which needs nothing beside it, and returns its path."""
    packages.ensure(packages.REPORT)
    from report import page  # needs Matplotlib

    run = results.read(json_path)
    return written(directory, {"index.html": page.html(run)})[0]


def summary(json_path, directory):
    """Makes cost.svg, memory.svg and summary.md in DIRECTORY, and returns their paths."""
    packages.ensure(packages.REPORT)
    from report import markdown, means

    run = results.read(json_path)
    return written(directory, {"cost.svg": means.bars(run, "cost").file(),
                               "memory.svg": means.bars(run, "peak_kib").file(),
                               "summary.md": markdown.summary(run)})


def written(directory, texts):
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")
    return [directory / name for name in texts]
