"""How fast `weir gather es` is, beside `curl` that asks for the same pages.

Fills an index of a running Elasticsearch with RRPairs of about 2 KB, then in turn lets curl fetch
the very pages that gather asks for (kept connections, nothing parsed, nothing written) and lets
gather fetch, check, number and write them all. Usage: gather.py WEIR [RECORDS] [ROUNDS]
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from base64 import b64encode

URL = os.environ.get("WEIR_TEST_ELASTICSEARCH", "http://127.0.0.1:19200")
INDEX = "weir-bench"
SLICES = 2
PAGE = 2000


def ask(method, path, body=None, kind="application/json"):
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode() if body else None
    request = urllib.request.Request(URL + path, data, {"Content-Type": kind}, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def record(number):
    ts = f"2026-09-01T10:{number // 60 % 20:02}:{number % 60:02}.{number * 7 % 1000:03}000000Z"
    path = f"/v1/orders/{number % 97}"
    body = json.dumps({"order": number, "text": "x" * 700}).encode()
    headers = {f"X-Header-{i}": [f"value {i} of the request"] for i in range(8)}
    pair = {
        "msgType": "rrpair", "ts": ts, "uuid": b64encode(uuid.UUID(int=number + 1).bytes).decode(),
        "direction": "IN", "service": "orders", "command": "GET", "location": path, "status": "200",
        "duration": 12, "l7protocol": "http",
        "http": {
            "req": {"host": "orders", "method": "GET", "url": path, "headers": headers},
            "res": {"statusCode": 200, "headers": headers, "bodyBase64": b64encode(body).decode()},
        },
        "signature": {"http:url": b64encode(path.encode()).decode()},
    }
    return {"@timestamp": ts, "Resource": {"cluster": "dev"},
            "Attributes": {"service": "orders", "namespace": "shop"}, "Body": pair}


def fill(records):
    try:
        if ask("GET", f"/{INDEX}/_count")["count"] == records:
            return
        ask("DELETE", f"/{INDEX}")
    except urllib.error.HTTPError:
        pass
    flattened = {"type": "flattened"}
    headers = {"properties": {"headers": flattened}}
    body = {"properties": {"http": {"properties": {"req": headers, "res": headers}}}}
    ask("PUT", f"/{INDEX}", {"mappings": {"properties": {"Body": body}}})
    for start in range(0, records, 2000):
        lines = []
        for number in range(start, min(start + 2000, records)):
            lines += ['{"create":{}}', json.dumps(record(number))]
        assert not ask("POST", f"/{INDEX}/_bulk", "\n".join(lines) + "\n")["errors"]
    ask("POST", f"/{INDEX}/_refresh")
    assert ask("GET", f"/{INDEX}/_count")["count"] == records


def pages(folder, pit):
    """Writes what curl is to send, by slice: each page needs the end of the one before."""
    configs, total = [], 0
    for slice_number in range(SLICES):
        config, after, number = [], None, 0
        while True:
            body = {"size": PAGE, "pit": {"id": pit, "keep_alive": "5m"}, "track_total_hits": False,
                    "query": {"match_all": {}}, "sort": [{"@timestamp": "desc"}],
                    "slice": {"id": slice_number, "max": SLICES}}
            if after:
                body["search_after"] = after
            path = os.path.join(folder, f"{slice_number}-{number}.json")
            with open(path, "w") as file:
                json.dump(body, file)
            if config:
                config.append("next")
            config += [f'url = "{URL}/_search"', f'data-binary = "@{path}"', "silent",
                       'header = "Content-Type: application/json"', 'output = "/dev/null"']
            hits = ask("POST", "/_search", body)["hits"]["hits"]
            total += len(hits)
            if not hits:
                break
            after, number = hits[-1]["sort"], number + 1
        configs.append(os.path.join(folder, f"{slice_number}.curl"))
        with open(configs[-1], "w") as file:
            file.write("\n".join(config) + "\n")
    return configs, total


def curl(configs):
    started = time.monotonic()
    for child in [subprocess.Popen(["curl", "-K", config]) for config in configs]:
        assert child.wait() == 0
    return time.monotonic() - started


def gather(weir, folder, records):
    out = os.path.join(folder, "out")
    started = time.monotonic()
    ended = subprocess.run(
        [weir, "gather", "es", "--es-url", URL, "--index", INDEX, "--slices", str(SLICES), "-q",
         "--start", "2026-09-01", "--end", "2026-09-02", "--out-dir", out],
        capture_output=True, text=True)
    seconds = time.monotonic() - started
    assert f"wrote {records} RRPairs" in ended.stderr, ended.stderr
    shutil.rmtree(out)
    return seconds


def main():
    weir = sys.argv[1]
    records = int(sys.argv[2]) if len(sys.argv) > 2 else 200_000
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    fill(records)
    pit = ask("POST", f"/{INDEX}/_pit?keep_alive=5m")["id"]
    with tempfile.TemporaryDirectory() as folder:
        configs, total = pages(folder, pit)
        assert total == records, (total, records)
        times = [(curl(configs), gather(weir, folder, records)) for _ in range(rounds)]
    by_curl, by_gather = (statistics.median(column) for column in zip(*times))
    print(f"{records} records, {SLICES} slices, medians of {rounds} rounds in turn")
    print(f"curl   {by_curl:6.1f} s  {records / by_curl:9,.0f} records/s")
    print(f"gather {by_gather:6.1f} s  {records / by_gather:9,.0f} records/s")
    print(f"gather / curl {by_curl / by_gather:.2f}")
    print("rounds:", ", ".join(f"{a:.1f} s and {b:.1f} s" for a, b in times))


main()
