"""How fast `weir gather es` is, beside `curl` that asks for the same pages.

Fills an index of a running Elasticsearch with RRPairs of about 2.5 KB, a tenth of them in one
millisecond, then in turn lets curl fetch the very pages that gather asks for (kept connections,
nothing parsed, nothing written) and lets gather fetch, check, number and write them all. That
nothing is missing is checked against the index's own `_count`. At last the 207 records of a small
index are gathered. Usage: gather.py WEIR [RECORDS] [ROUNDS]
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
# As `weir gather es` sizes its pages.
FIRST_PAGE, MAX_PAGE, PAGE_BYTES = 500, 10_000, 8 << 20
SMALL = 207


def raw(method, path, body=None):
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode() if body else None
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(URL + path, data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return answer.read()


def ask(method, path, body=None):
    return json.loads(raw(method, path, body))


def record(number, records):
    """The first tenth shares 10:30:00.000, the others spread over 20 minutes."""
    ts = f"2026-09-01T10:{number // 60 % 20:02}:{number % 60:02}.{number * 7 % 1000:03}000000Z"
    if number < records // 10:
        ts = f"2026-09-01T10:30:00.000{number % 1000:03}000Z"
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


def fill(index, records):
    try:
        if ask("GET", f"/{index}/_count")["count"] == records:
            return
        ask("DELETE", f"/{index}")
    except urllib.error.HTTPError:
        pass
    flattened = {"type": "flattened"}
    headers = {"properties": {"headers": flattened}}
    body = {"properties": {"http": {"properties": {"req": headers, "res": headers}}}}
    ask("PUT", f"/{index}", {"mappings": {"properties": {"Body": body}}})
    for start in range(0, records, 2000):
        lines = []
        for number in range(start, min(start + 2000, records)):
            lines += ['{"create":{}}', json.dumps(record(number, records))]
        assert not ask("POST", f"/{index}/_bulk", "\n".join(lines) + "\n")["errors"]
    ask("POST", f"/{index}/_refresh")
    assert ask("GET", f"/{index}/_count")["count"] == records


def pages(folder, pit):
    """Writes what curl is to send, by slice: each page needs the end of the one before."""
    configs, total = [], 0
    for slice_number in range(SLICES):
        config, after, number, size = [], None, 0, FIRST_PAGE
        while True:
            body = {"size": size, "pit": {"id": pit, "keep_alive": "5m"}, "track_total_hits": False,
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
            answer = raw("POST", "/_search", body)
            hits = json.loads(answer)["hits"]["hits"]
            total += len(hits)
            if len(hits) < size:
                break
            after, number = hits[-1]["sort"], number + 1
            size = max(10, min(MAX_PAGE, PAGE_BYTES // (len(answer) // len(hits))))
        configs.append(os.path.join(folder, f"{slice_number}.curl"))
        with open(configs[-1], "w") as file:
            file.write("\n".join(config) + "\n")
    return configs, total


def timed(commands, expect=""):
    """Seconds, and CPU seconds of the commands themselves, which run at once."""
    started, before = time.monotonic(), os.times()
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    for child in running:
        said = child.communicate()[1]
        assert child.returncode == 0 and expect in said, said
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - started, cpu


def curl(configs):
    return timed([["curl", "-K", config] for config in configs])


def gather(weir, folder, index, records):
    out = os.path.join(folder, "out")
    taken = timed(
        [[weir, "gather", "es", "--es-url", URL, "--index", index, "--slices", str(SLICES), "-q",
          "--start", "2026-09-01", "--end", "2026-09-02", "--out-dir", out]],
        f"wrote {records} RRPairs")
    files = sum(len(files) for _, _, files in os.walk(out))
    assert files == records + 1, files  # and its metadata
    shutil.rmtree(out)
    return taken


def line(name, records, times):
    seconds, cpu = (statistics.median(column) for column in zip(*times))
    print(f"{name:7} {seconds:6.2f} s  {records / seconds:9,.0f} records/s  {cpu:6.2f} s of CPU")
    return seconds


def main():
    weir = sys.argv[1]
    records = int(sys.argv[2]) if len(sys.argv) > 2 else 200_000
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    fill(INDEX, records)
    fill(f"{INDEX}-small", SMALL)
    pit = ask("POST", f"/{INDEX}/_pit?keep_alive=9m")["id"]
    with tempfile.TemporaryDirectory() as folder:
        configs, total = pages(folder, pit)
        assert total == records, (total, records)
        times = [(curl(configs), gather(weir, folder, INDEX, records)) for _ in range(rounds)]
        small = [gather(weir, folder, f"{INDEX}-small", SMALL) for _ in range(rounds)]
    by_curl, by_gather = zip(*times)
    print(f"{records} records of which {records // 10} share a millisecond, {SLICES} slices, "
          f"medians of {rounds} rounds in turn")
    curl_seconds, gather_seconds = line("curl", records, by_curl), line("gather", records, by_gather)
    print(f"gather / curl {curl_seconds / gather_seconds:.2f}")
    rates = [f"{a[0]:.1f} s and {b[0]:.1f} s" for a, b in times]
    print("rounds:", ", ".join(rates))
    line("gather", SMALL, small)


main()
