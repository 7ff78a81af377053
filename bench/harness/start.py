"""The suite "start": what it costs that a program merely begins, in time and in memory.

The time is that from vfork to the program's end, in the median of many starts; the peak is that of
one more run (see launch.c).
"""

from harness.benchmark import benchmark

SQL = """
CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
  INSERT INTO item SELECT i, 'item number ' || i, i * 0.5 FROM n;
CREATE INDEX by_name ON item (name);
SELECT count(*), sum(price) FROM item WHERE name LIKE '%77%';
SELECT name FROM item ORDER BY price DESC LIMIT 10;
"""
PROGRAMS = {  # and how often each is started in a run, quick or not
    "true": (["/bin/true"], 20, 100),
    "python3 -c pass": (["/usr/bin/python3", "-c", "pass"], 4, 20),
    "sqlite3": (["/usr/bin/sqlite3", "-init", "/dev/null", ":memory:", SQL], 1, 5),
}


class row(benchmark):
    suite = "start"
    unit = "us"
    expected = 0.5
    packages = {"python3": "/usr/bin/python3", "sqlite3": "/usr/bin/sqlite3"}

    def __init__(self, name, command, starts):
        super().__init__(name, command)
        self.options = ("-s", str(starts))

    def read(self, printed, measured):
        return round(measured["wall"] * 1e6), {}, printed


def benchmarks(quick):
    return [row(name, command, few if quick else many)
            for name, (command, few, many) in PROGRAMS.items()]
