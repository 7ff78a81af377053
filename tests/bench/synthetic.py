"""A run's JSON as scripts/quarry bench writes it, with invented figures, for tests of what reads it."""

import random

ROUNDS = 3
LIBRARIES = {"glibc": ("", "2.36-9"), "quarry": ("libquarry.so", "0.1.0+abc1234"),
             "jemalloc": ("libjemalloc.so.2", "5.3.0-1"), "mimalloc": ("libmimalloc.so.2", "2.0.9"),
             "tcmalloc": ("libtcmalloc_minimal.so.4", "2.10-1"),
             "tbb": ("libtbbmalloc_proxy.so.2", "2021.8.0-2"), "limit": ("libquarry_limit.so", "")}
SKILL = {"glibc": (1.5, 1.0), "quarry": (1.02, 1.02), "jemalloc": (1.25, 1.35), "limit": (0.6, 1),
         "mimalloc": (1.08, 1.5), "tcmalloc": (1.2, 1.65), "tbb": (1.3, 2.1)}
BATCHES = ("size:64/live:100", "size:1024/live:100", "size:64/live:1000", "size:1024/live:1000",
           "size:64/live:100000", "size:256/live:100000", "size:32768/live:100")
SIZES = tuple(2 ** power for power in (3, 4, 6, 8, 10, 12, 14, 16, 18, 20))
MICRO = {"malloc_pair": SIZES, "new_pair": SIZES, "batch_lifo": BATCHES, "batch_fifo": BATCHES,
         "batch_random": BATCHES, "mixed_uniform": ("live:1000", "live:20000"),
         "mixed_pareto": ("live:1000", "live:20000"), "cross_cpu_free": (64, 1024, 16384),
         "thread_pair": ("size:64/threads:2", "size:1024/threads:2", "size:64/threads:16",
                         "size:1024/threads:16"),
         "thread_mixed": ("live:1000/threads:2", "live:1000/threads:16"),
         "realloc_vector": (1048576, 104857600), "realloc_steps": (1048576, 104857600),
         "aligned_pair": ("align:64/size:64", "align:64/size:1024", "align:4096/size:4096",
                          "align:4096/size:16384"),
         "aligned_batch": ("align:64/size:64", "align:64/size:1024", "align:4096/size:4096",
                           "align:4096/size:16384"),
         "calloc_pair": (64, 4096, 262144, 4194304), "large_pair": (307200, 4194304, 33554432)}
WORKLOADS = ("server/1", "server/4", "producer_consumer/balanced", "producer_consumer/lopsided",
             "pareto/1", "pareto/4", "thread_churn", "web_requests/1", "web_requests/4", "key_value",
             "strings_and_vectors", "trees", "large_blocks", "false_sharing", "idle_threads", "burst")
STARTS = ("true", "python3 -c pass", "sqlite3")
PROGRAMS = ("redis", "memcached", "sqlite3", "python3/json", "python3/pymalloc-off", "g++", "node",
            "perl", "git", "xz", "ruby")
CURVES = ("key_value", "burst")


def results(seed=1):
    chance = random.Random(seed)
    return {"schema": 1, "date": "2026-11-22T10:00:00Z", "quarry_commit": "abc1234",
            "machine": {"cpu": "AMD EPYC 9R14", "cpus": 2, "memory_kib": 8126464, "kernel": "6.18.5",
                        "libc": "glibc 2.36", "system": "Debian GNU/Linux 12"},
            "rounds": ROUNDS, "quick": False,
            "allocators": {name: {"library": library, "version": version}
                           | ({"limit": True} if name == "limit" else {})
                           for name, (library, version) in LIBRARIES.items()},
            "benchmarks": list(benchmarks(chance))}


def benchmarks(chance):
    for family, parameters in MICRO.items():
        for parameter in parameters:
            yield entry(chance, "micro", f"{family}/{parameter}", "ns/operation",
                        "wall" if family.startswith(("thread", "cross")) else "cpu")
    for name in WORKLOADS:
        yield entry(chance, "workloads", name, "ns/operation", "wall")
    for name in PROGRAMS:
        yield entry(chance, "programs", name, "s", "cpu")
    for name in STARTS:
        yield entry(chance, "start", name, "us", "wall")


def entry(chance, suite, name, unit, clock):
    failures = {("workloads", "false_sharing"): {"jemalloc": "SIGSEGV\nat 0x0 <main>"},
                ("programs", "memcached"): {"tbb": "another result than under glibc"}}
    base = {"micro": 6, "workloads": 55, "programs": 2.4, "start": 800}[suite] * chance.lognormvariate(0, 0.8)
    footprint = chance.choice((8, 40, 160)) * 1024
    runs = {}
    for allocator, (cost, memory) in SKILL.items():
        if allocator == "limit" and not (suite == "micro" and "pair/" in name):
            continue
        cost *= base * chance.lognormvariate(0, 0.25) * (chance.random() < 0.04 and 12 or 1)
        memory *= footprint * chance.lognormvariate(0, 0.12)
        if allocator not in failures.get((suite, name), {}):
            runs[allocator] = [one_run(chance, suite, name, allocator, cost, memory)
                               for _ in range(ROUNDS)]
            if suite == "workloads":  # recorded once, in a run of its own
                runs[allocator][0]["latency"] = {call: histogram(chance, allocator, typical)
                                                 for call, typical in (("malloc", 20), ("free", 28))}
    return {"suite": suite, "name": name, "unit": unit, "cost": clock, "runs": runs,
            "failures": failures.get((suite, name), {})}


def one_run(chance, suite, name, allocator, cost, memory):
    seconds = chance.lognormvariate(0, 0.03)
    run = {"cost": cost * seconds}
    if suite == "micro":
        return run
    run |= {"wall": seconds, "cpu": seconds * 0.98, "mean_kib": int(memory * 0.8),
            "peak_kib": int(memory * chance.lognormvariate(0, 0.01)),
            "minor_faults": chance.randrange(500, 90000), "major_faults": 0}
    if name == "key_value":
        run["figures"] = {"resident_over_live": round(memory / 90000, 3)}
    if name in CURVES:
        run["curve"] = memory_over_time(chance, allocator, memory)
    return run


def memory_over_time(chance, allocator, peak):
    """A rise, a burst, and then idle: some give memory back, some do not."""
    kept = 0.05 if allocator in ("quarry", "tbb") else chance.uniform(0.6, 0.95)
    return [[round(0.05 * i, 3), int(peak * (min(i / 30, 1) if i < 50 else max(kept, 1 - (i - 50) / 12)))]
            for i in range(101)]


def histogram(chance, allocator, typical):
    """Calls that mostly take as long as typical, and ever fewer that take a refill, a lock, a fault."""
    typical *= SKILL[allocator][0]
    steps = [(90, 1.2), (99, 4), (99.9, 12), (99.97, 120), (99.995, 900), (100, 5000)]
    steps = [(typical * factor * chance.lognormvariate(0, 0.4), percentile) for percentile, factor in steps]
    curve = [[100 - 100 / 10 ** (i / 8), 0] for i in range(48)] + [[100, 0]]
    for point in curve:
        point[1] = round(next(ns for ns, percentile in steps if point[0] <= percentile)
                         * (1 + 0.01 * curve.index(point)), 1)
    curve = [[p, max(ns for _, ns in curve[:i + 1])] for i, (p, _) in enumerate(curve)]
    at = {name: next(ns for p, ns in curve if p >= float(name)) for name in ("50", "99", "99.9", "99.99")}
    return {"count": 1000000, "mean_ns": typical * 2, "max_ns": curve[-1][1], "curve": curve} | {
        f"p{name}_ns": ns for name, ns in at.items()}
