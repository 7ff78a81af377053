"""Scripts at the work that they are mostly written for: JSON, web pages, packed answers, logs.

The scripts are in scripts/; each reads the file that is made for it here.
"""

import json
import pathlib

import generate
from row import row

SCRIPTS = pathlib.Path(__file__).with_name("scripts")
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def orders(count, quick_count):
    def prepare(directory, quick):
        made = generate.orders(generate.source("orders"), quick_count if quick else count)
        (directory / "orders.jsonl").write_text("".join(json.dumps(order) + "\n" for order in made))
    return prepare


def log(count, quick_count):
    def prepare(directory, quick):
        numbers = generate.source("log")
        text = generate.prose(numbers)
        with (directory / "access.log").open("w") as file:
            for second in range(quick_count if quick else count):
                file.write(log_line(numbers, text, second))
    return prepare


def log_line(numbers, text, second):
    """In the combined format of web servers."""
    host = f"10.{numbers.randrange(4)}.{numbers.randrange(20)}.{int(250 * numbers.random() ** 2)}"
    date = f"{second // 86400 % 28 + 1:02}/{MONTHS[second // 2419200 % 12]}/2026"
    clock = f"{second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02}"
    query = f"?q={text.word()}%20{text.word()}&page={numbers.randrange(9)}" if numbers.randrange(2) else ""
    path = "/" + "/".join(text.word() for _ in range(1 + numbers.randrange(3)))
    status = numbers.choice((200, 200, 200, 200, 304, 302, 404, 500))
    return (f'{host} - - [{date}:{clock} +0000] "GET {path}{query} HTTP/1.1" {status}'
            f' {numbers.randrange(100000)} "https://{text.word()}.example/" "agent/{numbers.randrange(99)}"\n')


def script_row(name, package, program, script, prepare, **environment):
    return row(name, {package: program}, prepare, [program, str(SCRIPTS / script)], environment)


def python_row(name, prepare, **environment):
    return script_row(name, "python3", "/usr/bin/python3", "orders.py", prepare, PYTHONHASHSEED="0", **environment)


rows = [
    python_row("python3/json", orders(8_000, 1_200)),
    python_row("python3/json-malloc", orders(8_000, 1_200), PYTHONMALLOC="malloc"),
    script_row("node", "nodejs", "/usr/bin/node", "invoices.js", orders(10_000, 800)),
    script_row("perl", "perl", "/usr/bin/perl", "access.pl", log(100_000, 14_000), PERL_HASH_SEED="0"),
    script_row("ruby", "ruby", "/usr/bin/ruby", "pages.rb", orders(15_000, 1_500)),
]
