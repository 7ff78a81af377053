"""xz on text, by one thread and by two: few allocations, most of them large."""

import generate
from row import row


def prepare(directory, quick):
    text = generate.prose(generate.source("xz"))
    (directory / "text").write_text(text.sentence(60_000 if quick else 300_000))


def xz_row(name, *options):
    program = "/usr/bin/xz"
    return row(name, {"xz-utils": program}, prepare, [program, "--stdout", *options, "text"])


rows = [xz_row("xz", "--threads=1"), xz_row("xz/threads", "--threads=2", "--block-size=128KiB")]
