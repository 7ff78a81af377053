"""Work for python3.sh: dicts, JSON, regular expressions, big integers, threads, processes."""

import collections
import hashlib
import json
import multiprocessing
import queue
import random
import re
import subprocess
import sys
import threading
import zlib

generator = random.Random(2718)


def digest(text):
    return hashlib.sha256(text if isinstance(text, bytes) else text.encode()).hexdigest()[:16]


def records(count):
    return [
        {"id": i, "name": f"name {i}" * (i % 4), "tags": [str(i % k) for k in range(1, 6)], "x": i / 7}
        for i in range(count)
    ]


def dictionaries():
    table = {f"key{i}": i for i in range(100000)}
    for i in range(0, 100000, 3):
        del table[f"key{i}"]
    table.update((i, [i]) for i in range(50000))
    return len(table), sum(v for v in table.values() if isinstance(v, int))


def json_round_trip():
    text = json.dumps(records(30000))
    again = json.loads(text)
    return len(text), digest(json.dumps(again, indent=1))


def regular_expressions():
    text = " ".join("".join(generator.choices("abcdefgh", k=generator.randint(1, 9))) for _ in range(50000))
    counts = collections.Counter(re.findall(r"\b([a-h])(\w*)\1\b", text))
    return len(counts), digest(re.sub(r"(a+)(b+)", r"\2<\1>", text))


def threads():
    """Blocks made in one thread are freed in another."""
    channel, totals = queue.Queue(100), []

    def consume():
        total = 0
        while (item := channel.get()) is not None:
            total += sum(map(len, item))
        totals.append(total)

    consumers = [threading.Thread(target=consume) for _ in range(4)]
    for thread in consumers:
        thread.start()
    for i in range(2000):
        channel.put([bytes(i % 512), "s" * (i % 4096), bytearray(i * 16)])
    for _ in consumers:
        channel.put(None)
    for thread in consumers:
        thread.join()
    return sum(totals)


def square(n):
    return digest(bytes(range(256)) * n)


def processes():
    with multiprocessing.get_context("fork").Pool(3) as pool:
        forked = pool.map(square, range(1, 200))
    child = subprocess.run([sys.executable, "-c", "print('spawned')"], stdout=subprocess.PIPE, check=True)
    return digest("".join(forked)), child.stdout.decode().strip()


def large_blocks():
    data = b"".join(generator.randbytes(100) * 40 for _ in range(3000))
    number = 7**40000
    return len(zlib.compress(data)) > 0, digest(zlib.decompress(zlib.compress(data))), digest(hex(number))


for step in (dictionaries, json_round_trip, regular_expressions, threads, processes, large_blocks):
    print(step.__name__, step())
