"""The report of a run: everything measured is in it, it is well formed, and it needs no network.

The figures are invented (synthetic.py); what a run of the command itself gives is command.py's matter.
"""

import html.parser
import json
import pathlib
import re
import tempfile
import unittest
import xml.etree.ElementTree

import report
import synthetic
from failure import failure
from harness import figures

VOID = {"meta", "br"}
NAMES_ONLY = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}  # namespaces: never fetched


class reader(html.parser.HTMLParser):
    """What the tests ask of a page: its text, its ids, what it refers to, and whether tags match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.references, self.text = [], [], [], ""
        self.tags = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.handle_startendtag(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            elif name in ("href", "src", "xlink:href", "action", "data"):
                self.references.append(value)

    def handle_endtag(self, tag):
        if tag not in VOID and (not self.open or self.open.pop() != tag):
            raise AssertionError(f"</{tag}> at {self.getpos()} ends nothing")

    def handle_data(self, data):
        self.text += data


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.run_results = synthetic.results()
        cls.source = made(cls.folder.name, cls.run_results).read_text()
        cls.page = reader(cls.source)

    def test_is_well_formed(self):
        self.assertEqual(self.page.open, [])
        self.assertEqual(len(self.page.ids), len(set(self.page.ids)))
        self.assertNotIn("script", self.page.tags)

    def test_refers_to_nothing_but_its_own_parts(self):
        missing = {each for each in self.page.references if each.lstrip("#") not in self.page.ids}
        self.assertEqual(missing, set())
        self.assertEqual(set(re.findall(r"\w+://[^\s\"'<>)]+", self.source)) - NAMES_ONLY, set())
        self.assertNotRegex(self.source, r"@import|url\((?!#)")

    def test_every_benchmark_has_its_bars_and_its_figures(self):
        for row in self.run_results["benchmarks"]:
            self.assertIn(f"{row['suite']}:{row['name']}".replace(" ", "_"), self.page.ids)
            self.assertIn(f"{row['name']}, cost over the best: ", self.page.text)
            if row["suite"] != "micro":
                self.assertIn(f"{row['name']}, peak memory over the best: ", self.page.text)

    def test_every_allocator_is_named_with_its_version(self):
        for name, about in self.run_results["allocators"].items():
            self.assertIn(name, self.page.text)
            self.assertIn(about["version"], self.page.text)

    def test_failures_come_before_the_figures(self):
        before = self.page.text[:self.page.text.index("Cost over the best")]
        for reason in ("SIGSEGV\nat 0x0 <main>", "another result than under glibc"):
            self.assertIn(reason, before)
            self.assertGreater(self.page.text.count(reason.split("\n")[0]), 1)

    def test_drawings_are_valid(self):
        drawings = re.findall(r"<svg.*?</svg>", self.source, re.DOTALL)
        self.assertGreater(len(drawings), len(self.run_results["benchmarks"]))
        for drawing in drawings:
            xml.etree.ElementTree.fromstring(drawing)

    def test_says_on_what_it_was_measured(self):
        for words in ("AMD EPYC 9R14", "2 CPUs", "Linux 6.18.5", "glibc 2.36", "2026-11-22", "abc1234", "3 rounds"):
            self.assertIn(words, self.page.text)

    def test_latency_and_memory_over_time_are_drawn_where_recorded(self):
        for name in synthetic.CURVES:
            self.assertIn(f"resident memory over time, {name}: ", self.page.text)
        for name in synthetic.WORKLOADS:
            for call in ("malloc", "free"):
                self.assertIn(f"time of a {call} call by percentile, {name}: ", self.page.text)

    def test_every_kind_of_figure_has_its_column(self):
        heads = re.findall(r"<th>([^<]+)</th>", self.source)
        for head in ("cost", "least…greatest", "/ best", "/ glibc", "CPU s", "wall s", "peak MiB", "mean MiB",
                     "minor faults", "major faults", "resident_over_live", "p99.99", "worst"):
            self.assertIn(head, heads)

    def test_ratios_are_those_of_the_medians(self):
        row = next(row for row in self.run_results["benchmarks"] if row["name"] == "redis")
        middle = {name: sorted(run["peak_kib"] for run in runs)[1] for name, runs in row["runs"].items()}
        told = ", ".join(f"{name} {middle[name] / min(middle.values()):.2f}" for name in middle)
        self.assertIn(f"redis, peak memory over the best: {told}", self.page.text)

    def test_ratios_of_times_are_those_at_usual_speed(self):
        row = next(row for row in self.run_results["benchmarks"] if row["name"] == "redis")
        ratios = figures.over_best(row, list(row["runs"]), "cost")
        told = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
        self.assertIn(f"redis, cost over the best: {told}", self.page.text)


class SmallRuns(unittest.TestCase):
    """Whatever --only, --without and failures leave over."""

    def page(self, change):
        results = synthetic.results()
        change(results)
        with tempfile.TemporaryDirectory() as folder:
            text = reader(made(folder, results).read_text()).text
            return text, [file.read_text() for file in report.summary(pathlib.Path(folder) / "run.json", folder)]

    def test_one_suite(self):
        def micro_alone(results):
            results["benchmarks"] = results["benchmarks"][:3]
        text, _ = self.page(micro_alone)
        self.assertIn("malloc_pair/16", text)
        self.assertNotIn("Cost against memory", text)

    def test_a_benchmark_that_nobody_finished(self):
        def all_failed(results):
            row = results["benchmarks"][-1]
            row["failures"] = {name: "no such file" for name in row["runs"]}
            row["runs"] = {}
            results["benchmarks"] = [row]
        text, _ = self.page(all_failed)
        self.assertIn("6 failures", text)

    def test_without_quarry_and_with_a_stranger(self):
        def exchanged(results):
            for of in (results["allocators"], *(row["runs"] for row in results["benchmarks"])):
                of["<snmalloc>"] = of.pop("quarry")
            results["benchmarks"] = results["benchmarks"][70:80]
        text, _ = self.page(exchanged)
        self.assertIn("<snmalloc>", text)

    def test_quick_runs_are_marked(self):
        text, (_, _, markdown) = self.page(lambda results: results.update(
            quick=True, benchmarks=results["benchmarks"][:2]))
        self.assertIn("A quick run", text)
        self.assertIn("--quick", markdown)


class Summary(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.run_results = synthetic.results()
        file = written(folder.name, self.run_results)
        self.files = {made.name: made.read_text() for made in report.summary(file, folder.name)}

    def test_plots_stand_alone(self):
        for name in ("cost.svg", "memory.svg"):
            root = xml.etree.ElementTree.fromstring(self.files[name])
            self.assertEqual(root.tag, "{http://www.w3.org/2000/svg}svg")
            for allocator in self.run_results["allocators"]:
                self.assertEqual(allocator in self.files[name], allocator != "limit", allocator)
            self.assertEqual(set(re.findall(r"\w+://[^\s\"'<>)]+", self.files[name])) - NAMES_ONLY, set())

    def test_table_tells_the_machine_the_losses_and_the_failures(self):
        told = self.files["summary.md"]
        for words in ("AMD EPYC 9R14", "2026-11-22", "jemalloc 5.3.0-1", "times the best", "SIGSEGV"):
            self.assertIn(words, told)
        tables = [line for line in told.splitlines() if line.startswith("|")]
        self.assertEqual({line.count("|") for line in tables}, {8})


class BadInput(unittest.TestCase):
    def test_gets_one_line(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "run.json"
            for text in ("{", "[]", '{"schema": 2}'):
                file.write_text(text)
                with self.assertRaises(failure) as caught:
                    report.write(file, folder)
                self.assertNotIn("\n", str(caught.exception))


def written(folder, results):
    file = pathlib.Path(folder) / "run.json"
    file.write_text(json.dumps(results))
    return file


def made(folder, results):
    return report.write(written(folder, results), folder)


if __name__ == "__main__":
    unittest.main()
