"""The tour's program: many small objects, a large string, and all of it once more."""

import json

records = [
    {"id": i, "name": f"record {i}", "tags": [str(i % k) for k in range(1, 8)], "ratio": i / 7}
    for i in range(100000)
]
text = json.dumps(records)
again = json.loads(text)
print(len(text), again == records)
