"""git: a repository packed anew, every delta searched for."""

import subprocess

import generate
from harness import child
from row import row

ENVIRONMENT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
PROGRAM = "/usr/bin/git"
# With two threads the deltas that are found depend on which thread comes first.
REPACK = f"{PROGRAM} -c pack.threads=1 repack -q -a -d -f && echo objects/pack/*.pack"  # named by its hash


def prepare(directory, quick):
    def git(*arguments, **streams):
        environment = child.environment() | ENVIRONMENT
        subprocess.run([PROGRAM, *arguments], cwd=directory, env=environment, check=True, **streams)

    git("init", "-q", "--bare", ".")
    history = "".join(commits(150 if quick else 1000))
    git("fast-import", "--quiet", input=history.encode())
    git("repack", "-q", "-a", "-d")  # so that the first run finds what the others will


def commits(count):
    """For git fast-import: each commit changes some lines of some of the files."""
    numbers = generate.source("git")
    text = generate.prose(numbers)
    files = [[text.sentence(8) for _ in range(20 + numbers.randrange(300))] for _ in range(60)]
    for number in range(count):
        message = text.sentence(6)
        yield (f"commit refs/heads/main\ncommitter someone <someone@example.org> {1_500_000_000 + number} +0000\n"
               f"data {len(message)}\n{message}\n")
        for name in range(len(files)) if number == 0 else numbers.sample(range(len(files)), 4):
            for _ in range(5):
                files[name][numbers.randrange(len(files[name]))] = text.sentence(8)
            content = "\n".join(files[name]) + "\n"
            yield f"M 100644 inline part{name % 7}/file{name}\ndata {len(content)}\n{content}\n"


rows = [row("git", {"git": PROGRAM}, prepare, ["/bin/sh", "-c", REPACK], ENVIRONMENT)]
