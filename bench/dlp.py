"""Measures redaction beside vectorscan and a plain set of regular expressions, with the same
rules on the same bodies, and writes bench/DLP.md. Run by bench/dlp.sh, which builds what is run.

The programs run in turn, several passes each. Costs are CPU time of their one thread, and of each
the fastest pass counts: the others were disturbed."""

import argparse
import base64
import datetime
import json
import pathlib
import random
import subprocess
import tempfile

import machine

HERE = pathlib.Path(__file__).resolve().parent
ROUNDS = 5
AIM_OF_VECTORSCAN = 0.33
AIM_OF_GROWTH = 11.0

FIRST = "Ada Ben Cleo Dan Eve Finn Gus Hana Ivo Jill Kai Lena Max Nora Otto Pia Quin Rosa Sam Tess".split()
LAST = "Abbot Berg Cruz Dietz Ertl Frank Gomez Hahn Iqbal Jung Kraus Lopez Marx Novak".split()
WORDS = ("the order was shipped from our warehouse in two parcels and should arrive by Friday please "
         "ring twice or leave it with a neighbour gift wrapping blue paper no invoice inside").split()


def luhn(digits):
    total = 0
    for place, digit in enumerate(reversed(digits + [0])):
        double = digit * (1 + place % 2)
        total += double - 9 if double > 9 else double
    return digits + [(10 - total % 10) % 10]


def secret(rng):
    """A value that a rule finds, with a name that is none of the keys."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    def text(count):
        return "".join(rng.choice(letters) for _ in range(count))
    def jwt():
        part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
        return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({'sub': text(12), 'exp': 1790000000})}.{text(43)}"
    return rng.choice([
        lambda: ("card", "".join(map(str, luhn([4] + [rng.randrange(10) for _ in range(14)])))),
        lambda: ("email", f"{rng.choice(FIRST)}.{rng.choice(LAST)}@mail{rng.randrange(99)}.example.com".lower()),
        lambda: ("mobile", f"+1415555{rng.randrange(1000, 9999)}"),
        lambda: ("ssn", f"{rng.randrange(100, 600)}-{rng.randrange(10, 99)}-{rng.randrange(1000, 9999)}"),
        lambda: ("aws", "AKIA" + text(16).upper()),
        lambda: ("ci", "ghp_" + text(36)),
        lambda: ("session", jwt()),
        lambda: ("password", text(14)),
    ])()


def item(rng, secrets):
    """One object of an answer; `secrets` is the chance that it holds one."""
    out = {
        "id": f"{rng.getrandbits(32):08x}-{rng.getrandbits(16):04x}-4{rng.getrandbits(12):03x}-a{rng.getrandbits(12):03x}-{rng.getrandbits(48):012x}",
        "number": rng.randrange(10**6),
        "sku": f"mug-{rng.randrange(100):02}",
        "name": f"{rng.choice(FIRST)} {rng.choice(LAST)}",
        "price": {"amount": round(rng.random() * 500, 2), "currency": "EUR"},
        "createdAt": f"2026-11-{rng.randrange(1, 29):02}T{rng.randrange(24):02}:15:30.{rng.randrange(1000):03}Z",
        "tags": rng.sample(WORDS, 3),
        "available": rng.random() < 0.5,
        "href": f"https://shop.example.com/v1/orders/{rng.randrange(10**6)}?expand=lines",
        "note": " ".join(rng.choice(WORDS) for _ in range(rng.randrange(4, 14))),
    }
    if rng.random() < secrets:
        name, value = secret(rng)
        out[name] = value
    return out


def api(rng, secrets):
    """Bodies of an API: of 0.4 to 12 KB, as lists and objects."""
    while True:
        yield json.dumps({"items": [item(rng, secrets) for _ in range(rng.choice([1, 1, 2, 5, 10, 30]))],
                          "next": None}, separators=(",", ":"))


def dense(rng):
    """Every value a secret."""
    while True:
        yield json.dumps([dict(secret(rng) for _ in range(4)) for _ in range(8)], separators=(",", ":"))


def logs(rng):
    while True:
        yield "\n".join(f"2026-11-21 10:15:{rng.randrange(60):02}.{rng.randrange(1000):03} INFO [worker-{rng.randrange(16)}] "
                        f"c.e.shop.Orders - {' '.join(rng.choice(WORDS) for _ in range(12))} took {rng.randrange(900)} ms"
                        for _ in range(40))


def hostile(rng):
    """Text in which nearly everything begins like a secret, and nothing is one."""
    parts = ["4111 1111 1111 1112 ", "eyJeyJ.", "a@b.", "-----BEGIN ", "AKIA-", "://a:b@", "123-45-67 ", "bearer x ", "DE89 3704 "]
    while True:
        yield "".join(rng.choice(parts) for _ in range(400))


def write(path, bodies, total):
    """Bodies of `total` bytes together, each after its length."""
    size = 0
    with open(path, "wb") as file:
        while size < total:
            body = next(bodies).encode()
            file.write(len(body).to_bytes(4, "little") + body)
            size += len(body)


def run(command):
    """(bytes, nanoseconds, found) of each pass."""
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [tuple(map(int, line.split())) for line in out.splitlines()]


def measure(programs, path, media, scale):
    """MB/s and values found, by program; the programs in turn."""
    rules = HERE / "dlp" / "rules.txt"
    commands = {
        "weir": ([programs.weir, "weir", rules, path, "3", media]),
        "regexset": ([programs.weir, "regexset", rules, path, "2", media]),
        "ends": ([programs.vectorscan, rules, path, "8", "ends"]),
        "starts": ([programs.vectorscan, rules, path, "8", "starts"]),
    }
    best, found = {}, {}
    for _ in range(ROUNDS if scale >= 1 else 2):
        for name, command in commands.items():
            for total, time, values in run(command):
                best[name] = max(best.get(name, 0), total / time * 1e3)
                found[name] = values
    return best, found


def growth(programs, bytes_):
    out = subprocess.run([programs.weir, "growth", str(bytes_)], check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        once, ten, part = line.split(" ", 2)
        yield json.loads(part) if part.startswith('"') else part, int(once), int(ten)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weir", required=True, help="the example `throughput` of weir-dlp")
    parser.add_argument("--vectorscan", required=True)
    parser.add_argument("--quick", action="store_true", help="a tenth of the bytes, nothing written")
    programs = parser.parse_args()
    scale = 0.1 if programs.quick else 1
    rng = random.Random(5)
    corpora = [
        ("JSON of an API, a secret in 50 objects", api(rng, 0.02), "application/json"),
        ("JSON of an API, no secret", api(rng, 0), "application/json"),
        ("JSON, every value a secret", dense(rng), "application/json"),
        ("log lines", logs(rng), "text/plain"),
        ("begins like secrets, is none", hostile(rng), "text/plain"),
    ]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, bodies, media in corpora:
            path = pathlib.Path(folder) / "bodies"
            write(path, bodies, int(16e6 * scale))
            best, found = measure(programs, path, media, scale)
            ratio = best["weir"] / best["ends"]
            rows.append(
                f"| {name} | {best['weir']:.0f} | {best['ends']:.0f} | {best['starts']:.0f} | {best['regexset']:.0f} "
                f"| **{ratio:.2f}** | {best['weir'] / best['starts']:.2f} | {best['weir'] / best['regexset']:.2f} "
                f"| {found['weir']} / {found['ends']} |")
            print(rows[-1], flush=True)
    grown = list(growth(programs, int(100e3 * scale)))
    worst = max(ten / once for _, once, ten in grown)
    for part, once, ten in grown:
        print(f"{ten / once:.2f} {part!r}")
    text = TEXT.format(
        date=datetime.date.today(), machine=machine.kind(), rows="\n".join(rows),
        aim=AIM_OF_VECTORSCAN, worst=worst, limit=AIM_OF_GROWTH, parts=len(grown),
        slowest=max(grown, key=lambda row: row[2])[0],
        rate=min(1e6 * scale / ten * 1e3 for _, _, ten in grown),
        table="\n".join(f"| `{part}` | {once / 1e6:.2f} | {ten / 1e6:.2f} | {ten / once:.1f} |" for part, once, ten in grown))
    if not programs.quick:
        (HERE / "DLP.md").write_text(text)


TEXT = """# What redaction costs

{date}, {machine}. Written by `bench/dlp.sh`.

One thread, CPU time, the programs in turn; of each the fastest of its passes. MB/s of bodies.

* **weir**: `Redactor::redact` on a record with that body: structure, names, detectors with their
  checksums, encodings, replacement, and every copy of a value. More than the others do.
* **vectorscan** (Debian's libvectorscan 5.4.9, block mode): the same rules as regular expressions
  (bench/dlp/rules.txt), matches counted; telling their ends alone, and with their starts
  (`SOM_LEFTMOST`), without which nothing could be replaced.
* **RegexSet** (`regex::bytes`, no Unicode): the same rules; tells only which of them match.

| bodies | weir | vectorscan, ends | vectorscan, starts | RegexSet | weir ÷ vectorscan | ÷ with starts | ÷ RegexSet | values / matches |
|---|---|---|---|---|---|---|---|---|
{rows}

Aim: at least {aim} of vectorscan.

## Growth

{parts} texts made to cost (one part repeated), 100 KB and ten times as long: worst growth **{worst:.2f}** times,
at most {limit:.0f} asked. The slowest is `{slowest}` with {rate:.1f} MB/s.

| part | ms for 100 KB | ms for 1 MB | growth |
|---|---|---|---|
{table}
"""

if __name__ == "__main__":
    main()
