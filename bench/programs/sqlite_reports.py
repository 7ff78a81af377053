"""sqlite3: a dump read into a database in memory, then reports on it."""

import generate
from row import row

SCHEMA = """
CREATE TABLE "order" (id INTEGER PRIMARY KEY, customer TEXT, city TEXT, note TEXT, paid INTEGER);
CREATE TABLE line (id INTEGER PRIMARY KEY, "order" INTEGER REFERENCES "order", article TEXT, title TEXT,
                   amount INTEGER, price REAL, tags TEXT);
BEGIN;
"""
REPORTS = """
CREATE INDEX by_customer ON "order" (customer);
CREATE INDEX by_article ON line (article, "order");
COMMIT;
ANALYZE;
SELECT city, count(*), sum(amount * price) AS total FROM "order" JOIN line ON line."order" = "order".id
  GROUP BY city ORDER BY total DESC LIMIT 20;
SELECT article, count(DISTINCT customer) AS customers, group_concat(DISTINCT city) FROM line
  JOIN "order" ON "order".id = line."order" GROUP BY article ORDER BY customers DESC, article LIMIT 10;
WITH spent AS (SELECT customer, sum(amount * price) AS total, group_concat(title, '; ') AS titles
    FROM "order" JOIN line ON line."order" = "order".id GROUP BY customer)
  SELECT customer, total, rank() OVER (ORDER BY total DESC), length(titles), upper(substr(titles, 1, 40))
  FROM spent ORDER BY total DESC LIMIT 20;
SELECT value, count(*), max(price) FROM line, json_each(tags) GROUP BY value ORDER BY 2 DESC, 1 LIMIT 20;
UPDATE line SET title = title || ' (' || article || ')' WHERE price > 500;
DELETE FROM line WHERE "order" IN (SELECT id FROM "order" WHERE NOT paid AND note LIKE '%a%');
SELECT count(*), sum(length(title)), sum(price) FROM line;
"""


def prepare(directory, quick):
    made = generate.orders(generate.source("sqlite"), 3_000 if quick else 20_000)
    with (directory / "dump.sql").open("w") as file:
        file.write(SCHEMA)
        for order in made:
            file.write(insert("order", order["id"], order["customer"], order["address"]["city"],
                              order["note"], int(order["paid"])))
            for line in order["lines"]:
                tags = "[" + ",".join(f'"{tag}"' for tag in line["tags"]) + "]"
                file.write(insert("line", None, order["id"], line["article"], line["title"],
                                  line["amount"], line["price"], tags))
        file.write(REPORTS)


def insert(table, *values):
    return f'INSERT INTO "{table}" VALUES ({", ".join(map(literal, values))});\n'


def literal(value):
    return "NULL" if value is None else f"'{value}'" if isinstance(value, str) else str(value)


PROGRAM = "/usr/bin/sqlite3"
COMMAND = [PROGRAM, "-init", "/dev/null", ":memory:", ".read dump.sql"]
rows = [row("sqlite3", {"sqlite3": PROGRAM}, prepare, COMMAND)]
