# Orders read as JSON, gathered by customer and written again: loads and dumps, with all of it kept.
import collections
import hashlib
import json
import sys

with open("orders.jsonl") as file:
    orders = [json.loads(line) for line in file]

customers = collections.defaultdict(list)
for order in orders:
    order["total"] = sum(line["amount"] * line["price"] for line in order["lines"])
    order["tags"] = sorted({tag for line in order["lines"] for tag in line["tags"]})
    customers[order["customer"]].append(order)

report = json.dumps(customers, indent=1, sort_keys=True)
again = json.loads(report)
compact = [json.dumps(customer, separators=(",", ":")) for customer in again.values()]
print(len(customers), len(report), hashlib.sha256("".join(compact).encode()).hexdigest())
if again != customers:
    sys.exit("what was read is not what was written")
