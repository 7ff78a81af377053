"""xz on text, by one thread and by two: few allocations, most of them large."""

import generate
from row import row


def prepare(directory, quick):
    text = generate.prose(generate.source("xz"))
    (directory / "text").write_text(text.sentence(60_000 if quick else 300_000))


PROGRAM = "/usr/bin/xz"


def xz_row(name, options):
    pack = f"{PROGRAM} --keep --force {options} text && /usr/bin/cksum text.xz"
    return row(name, {"xz-utils": PROGRAM}, prepare, ["/bin/sh", "-c", pack])


rows = [xz_row("xz", "--threads=1"), xz_row("xz/threads", "--threads=2 --block-size=128KiB")]
