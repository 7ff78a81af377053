"""redis-server: traffic by redis-benchmark, and a fill of which half is then deleted.

As a program it is the driver: redis_server.py traffic|fill
"""

import pathlib
import subprocess
import sys
import time

import generate
import server
from row import row

# redis-server and redis-check-rdb are one binary that looks at its name; taking the latter, from
# redis-tools, spares the machine a redis service.
BINARY = "/usr/bin/redis-check-rdb"
SERVER = ["./redis-server", "--port", "0", "--unixsocket", server.SOCKET, "--save", "",
          "--enable-debug-command", "local"]
SETTLED = 1  # seconds after which freed memory should be back at the system
REQUESTS_PER_KEY = 20  # redis-benchmark's keys are random; so many, and each one is set


def prepare_server(directory):
    (directory / "redis-server").symlink_to(BINARY)


def prepare_traffic(directory, quick):
    """The file has the arguments of one redis-benchmark per line."""
    prepare_server(directory)
    requests = 20_000 if quick else 120_000
    on_random_keys = f"-n {requests} -r {requests // REQUESTS_PER_KEY}"
    steps = [f"-t set -d {size} {on_random_keys}" for size in (20, 3000, 400)]
    steps += [f"-t get {on_random_keys}", f"-t lpush -d 60 -n {requests}",
              f"-t lrange_100 -d 60 -n {requests // 10}"]
    (directory / "traffic").write_text("\n".join(steps) + "\n")


def prepare_fill(directory, quick):
    """Sessions of 16 bytes to 20 KB; the older half expires, but for a tenth, as does a tenth of the rest."""
    prepare_server(directory)
    numbers = generate.source("redis")
    keys = [f"session:{number:08}" for number in range(15_000 if quick else 90_000)]
    text = generate.prose(numbers).sentence(20_000)
    with (directory / "fill").open("w") as file:
        for key in keys:
            begin, size = numbers.randrange(50_000), int(16 * 1250 ** numbers.random())
            file.write(request("SET", key, text[begin:begin + size]))
    with (directory / "delete").open("w") as file:
        for index, key in enumerate(keys):
            old, exception = index < len(keys) // 2, numbers.randrange(10) == 0
            if old != exception:
                file.write(request("DEL", key))


def request(*words):
    """In the protocol of Redis, as redis-cli --pipe passes it on."""
    return f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)


def traffic(pid):
    for step in pathlib.Path("traffic").read_text().splitlines():
        output = client("redis-benchmark", "-q", "-P", "16", *step.split())
        if "error" in output.lower():
            sys.exit(output)
    show_data()


def fill(pid):
    send_requests("fill")
    show_resident("fill", pid)
    send_requests("delete")
    time.sleep(SETTLED)
    show_resident("delete", pid)
    show_data()


def send_requests(name):
    with open(name) as requests:
        replies = client("redis-cli", "--pipe", stdin=requests)
    print(name, replies.splitlines()[-1])


def show_resident(name, pid):
    print(f"quarry-bench: resident_after_{name}_bytes {server.resident_bytes(pid)}")


def show_data():
    print("keys", client("redis-cli", "dbsize"), "digest", client("redis-cli", "debug", "digest"))


def client(program, *arguments, **streams):
    done = subprocess.run([f"/usr/bin/{program}", "-s", server.SOCKET, *arguments],
                          stdout=subprocess.PIPE, text=True, check=True, **streams)
    return done.stdout.strip()


def redis_row(action, prepare):
    packages = {"redis-tools": BINARY, "python3": "/usr/bin/python3"}
    return row(f"redis/{action}", packages, prepare, ["/usr/bin/python3", __file__, action], driver=True)


rows = [redis_row("traffic", prepare_traffic), redis_row("fill", prepare_fill)]

if __name__ == "__main__":
    with server.running(SERVER) as running_pid:
        {"traffic": traffic, "fill": fill}[sys.argv[1]](running_pid)
