"""memcached as the cache of a web site whose processes connect, read and write, and go again.

As a program it is the driver.
"""

import concurrent.futures
import hashlib

import generate
import server
from row import row

SERVER = ["/usr/bin/memcached", "-s", server.SOCKET, "-u", "root", "-m", "1024"]
CLIENTS = 8
REQUESTS = 50  # per batch; few enough that neither side waits with a full socket for the other
BATCHES = 10  # per connection
END, ENDED = b"\r\nmn\r\n", b"MN\r\n"  # "no operation" ends a batch, its answer the answers


def prepare(directory, quick):
    text = generate.prose(generate.source("memcached")).sentence(20_000).encode()
    for client in range(CLIENTS):
        numbers = generate.source(f"memcached {client}")
        with (directory / f"requests-{client}").open("wb") as file:
            for _ in range(80 if quick else 500):
                file.write(b"\r\n".join(request(numbers, client, text) for _ in range(REQUESTS)) + END)


def request(numbers, client, text):
    """Each client has keys of its own, so that no answer depends on who comes first."""
    keys = [b"%d:page:%d" % (client, int(20_000 * numbers.random() ** 2)) for _ in range(10)]
    action = numbers.randrange(10)
    if action < 5:
        begin, size = numbers.randrange(50_000), int(16 * 500 ** numbers.random())
        return b"set %s 0 0 %d\r\n%s" % (keys[0], size, text[begin:begin + size])
    if action < 6:
        return b"delete %s" % keys[0]
    return b"get %s" % b" ".join(keys[:1 + numbers.randrange(10)])


def run_client(client):
    """The digest of all that the server answers to one client."""
    digest = hashlib.sha256()
    with open(f"requests-{client}", "rb") as file:
        batches = [batch + END for batch in file.read().split(END)[:-1]]
    for first in range(0, len(batches), BATCHES):
        with server.connect() as connection:
            for batch in batches[first:first + BATCHES]:
                connection.sendall(batch)
                digest.update(answers(connection))
    return digest.hexdigest()


def answers(connection):
    received = bytearray()
    while not received.endswith(ENDED):
        part = connection.recv(1 << 18)
        if not part:
            raise ConnectionError("the server has closed the connection")
        received += part
    return received


def main():
    # The server ends first: if one client fails, the others see their connections closed.
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients, server.running(SERVER) as pid:
        print(*clients.map(run_client, range(CLIENTS)), sep="\n")
        print(f"quarry-bench: resident_bytes {server.resident_bytes(pid)}")


packages = {"memcached": SERVER[0], "python3": "/usr/bin/python3"}
rows = [row("memcached", packages, prepare, ["/usr/bin/python3", __file__], driver=True)]

if __name__ == "__main__":
    main()
