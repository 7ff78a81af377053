"""The arithmetic of the harness on figures made up so that the answers are known."""

import contextlib
import io
import unittest

from harness import allocators, changes, figures, table

NAMES = ["glibc", "quarry", "other"]


def benchmark(costs, failures=None, name="row", key="cost"):
    """A row with a list of figures per allocator."""
    runs = {who: [{key: value} for value in values] for who, values in costs.items()}
    return {"suite": "test", "name": name, "unit": "s", "cost": "cpu", "runs": runs,
            "failures": failures or {}}


def results(*benchmarks, allocators=NAMES):
    entries = {name: {"library": "", "version": "1"} for name in allocators}
    return {"schema": 1, "date": "2026-01-01T00:00:00Z", "quarry_commit": "abc", "rounds": 3,
            "allocators": entries | {"limit": {"library": "", "version": "", "limit": True}},
            "benchmarks": list(benchmarks)}


def shown(function, *arguments):
    with contextlib.redirect_stdout(io.StringIO()) as output:
        function(*arguments)
    return output.getvalue()


class Figures(unittest.TestCase):
    def test_ratios_are_of_medians(self):
        row = benchmark({"glibc": [4, 100, 3.9], "quarry": [2, 1.9, 50], "other": [3, 3, 3]})
        self.assertEqual(figures.best(row, NAMES, "cost"), "quarry")
        self.assertEqual(figures.over_best(row, NAMES, "cost"), {"glibc": 2, "quarry": 1, "other": 1.5})
        self.assertEqual(figures.over_system(row, NAMES, "cost"), {"glibc": 1, "quarry": 0.5, "other": 0.75})

    def test_spread_is_within_rounds(self):
        """A machine that is slower in one round changes no ratio."""
        row = benchmark({"glibc": [2, 20, 2], "quarry": [1, 10, 1.25]})
        self.assertEqual(figures.spread(row, "glibc", "quarry", "cost"), (1.6, 2))

    def test_a_slower_round_changes_no_ratio(self):
        costs = {"glibc": [1, 2, 1], "other": [1, 2, 1], "quarry": [1, 2, 1.9]}
        self.assertEqual(figures.over_best(benchmark(costs), NAMES, "cost")["quarry"], 1)

    def test_a_machine_has_no_speed_at_taking_memory(self):
        peaks = {"glibc": [1, 2, 1], "other": [1, 2, 1], "quarry": [1, 2, 1.9]}
        row = benchmark(peaks, key="peak_kib")
        self.assertEqual(figures.over_best(row, NAMES, "peak_kib")["quarry"], 1.9)

    def test_a_figure_missing_in_a_round_says_nothing_of_speed(self):
        row = benchmark({"glibc": [1, 2, 1], "quarry": [2, 4, 2], "other": [3, 0, 3]})
        self.assertEqual(figures.over_best(row, NAMES, "cost"), {"glibc": 1, "quarry": 2, "other": 3})

    def test_the_limit_does_not_compete(self):
        row = benchmark({"glibc": [4], "quarry": [2], "other": [3], "limit": [1]})
        names = figures.names(results(row))
        self.assertEqual(names, NAMES)
        self.assertEqual(figures.over_best(row, names, "cost")["quarry"], 1)
        self.assertIn("0.50", shown(table.show, results(row)))  # but it is shown

    def test_a_failure_never_gains(self):
        """Whatever the others need, a failure is worse than all that finished."""
        for slowest in (1, 4, 6, 1000):
            row = benchmark({"glibc": [1], "quarry": [slowest]}, {"other": "SIGSEGV"})
            ratios = figures.over_best(row, NAMES, "cost")
            self.assertGreaterEqual(ratios["other"], max(figures.PENALTY, 2 * slowest))

    def test_runs_before_a_failure_do_not_count(self):
        row = benchmark({"glibc": [2], "quarry": [2], "other": [1]}, {"other": "wrong result: x"})
        self.assertEqual(figures.best(row, NAMES, "cost"), "glibc")
        self.assertIn("wrong result", shown(table.show, results(row)))

    def test_geometric_mean(self):
        self.assertAlmostEqual(figures.geometric_mean([1, 2, 4]), 2)
        rows = [benchmark({"glibc": [2], "quarry": [1], "other": [1]}),
                benchmark({"glibc": [8], "quarry": [1], "other": [2]}),
                benchmark({"quarry": [1], "other": [1]}, {"glibc": "timeout"})]
        means = figures.means(rows, NAMES, "cost", figures.over_best)
        self.assertAlmostEqual(means["glibc"], 4)
        self.assertAlmostEqual(means["other"], 2 ** 0.5)
        self.assertAlmostEqual(figures.means(rows, NAMES, "cost", figures.over_system)["quarry"], 0.25)

    def test_rows_without_the_figure_have_no_mean(self):
        self.assertEqual(figures.means([benchmark({"glibc": [1]})], NAMES, "peak_kib", figures.over_best), {})

    def test_a_clock_is_not_among_the_means_only_where_it_is_the_cost_of_every_row(self):
        first, second = (benchmark({"glibc": [1], "quarry": [1]}, name=name, key="cpu") for name in "ab")
        self.assertNotIn("processor time", shown(table.show, results(first, second)))
        self.assertIn("processor time", shown(table.show, results(first, second | {"cost": "wall"})))

    def test_notable_rows_are_listed(self):
        rows = [benchmark({"glibc": [1], "quarry": [1.2]}, name="near"),
                benchmark({"glibc": [1], "quarry": [2]}, name="far"),
                benchmark({"glibc": [1], "quarry": [1.1]}, name="fine"),
                benchmark({"glibc": [1]}, {"quarry": "SIGSEGV"}, name="dead")]
        text = shown(table.show, results(*rows, allocators=["glibc", "quarry"]))
        self.assertIn("above 1.15 times the best: 3 of 4 rows; above 1.3: 2", text)
        self.assertRegex(text, "test/dead +failed")
        self.assertRegex(text, r"test/far +2\.00 times glibc")


class Changes(unittest.TestCase):
    def difference(self, old, new):
        return changes.difference(benchmark(old), benchmark(new), "cost")

    def test_a_change_is_what_the_machine_does_not_explain(self):
        change, system, certain = self.difference({"glibc": [2, 2], "quarry": [1, 1]},
                                                  {"glibc": [4, 4], "quarry": [2, 2]})
        self.assertEqual((change, system, certain), (1, 2, False))

    def test_a_change_beyond_the_noise_is_certain(self):
        old = {"glibc": [2, 2, 2], "quarry": [1, 1.02, 1.04]}
        change, _, certain = self.difference(old, {"glibc": [2, 2, 2], "quarry": [1.5, 1.53, 1.5]})
        self.assertAlmostEqual(change, 1.5 / 1.02)
        self.assertTrue(certain)
        _, _, certain = self.difference(old, {"glibc": [2, 2, 2], "quarry": [1.03, 1.05, 1.06]})
        self.assertFalse(certain)

    def test_one_round_proves_nothing(self):
        _, _, certain = self.difference({"glibc": [2], "quarry": [1]}, {"glibc": [2], "quarry": [1.5]})
        self.assertFalse(certain)

    def test_rows_of_one_run_alone_are_counted(self):
        old = results(benchmark({"glibc": [2, 2], "quarry": [1, 1]}, name="both"),
                      benchmark({"glibc": [2], "quarry": [1]}, name="gone"))
        new = results(benchmark({"glibc": [2, 2], "quarry": [2, 2]}, name="both"),
                      benchmark({"glibc": [2]}, {"quarry": "SIGSEGV"}, name="fails"))
        text = shown(changes.show, old, new)
        self.assertRegex(text, r"test/both .*\+100\.0% +worse")
        self.assertIn("only in the old run: 1 rows", text)
        self.assertIn("only in the new run: 1 rows", text)


class Order(unittest.TestCase):
    def test_each_goes_first_and_follows_each_neighbour(self):
        for count in range(1, 8):
            names = list(range(count))
            orders = [allocators.rotated(names, turn) for turn in range(count)]
            self.assertEqual([order[0] for order in orders], names)
            self.assertTrue(all(sorted(order) == names for order in orders))
        self.assertEqual(allocators.rotated(names, 2)[:3], [2, 3, 4])
        self.assertEqual(allocators.rotated(names, 3)[:3], [3, 2, 1])

    def test_nobody_may_be_left(self):
        self.assertEqual(allocators.rotated([], 3), [])


if __name__ == "__main__":
    unittest.main()
