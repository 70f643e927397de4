"""The report of a run, as Markdown."""

import datetime

from machine import kind

AIMS = {"server_growth": 0.12, "weir_share": 0.25, "memory_mib": 48}


def write(options, requests, steady, untargeted):
    parts = [head(options), request_table(requests), thread_table(requests), steady_table(steady),
             untargeted_table(untargeted)]
    return "\n".join(parts)


def head(options):
    date = datetime.date.today().isoformat()
    mode = "quick, one short round: only a smoke test" if options.quick else "full"
    return (
        "# What a capture costs\n\n"
        f"{date}, {kind()}. Mode: {mode}. Written by `bench/run.sh`.\n\n"
        "One nginx worker on CPU 0; wrk, `weir run` and the collector share CPU 1. Both sides of a ratio come\n"
        "from the same run, with and without the capture in turn. Costs are scheduler CPU time. The exporter\n"
        f"delivers over OTLP/{'gRPC' if options.transport == 'GRPC' else 'HTTP'} to a real OpenTelemetry Collector 0.161 "
        "with its `nop` exporter, whose own CPU\nis not counted. Medians.\n"
    )


def request_table(rows):
    lines = [
        "## Per request\n",
        "At one and the same rate with and without the capture, below what the machine can do, so that the server\n"
        "meets the same load on both sides:\n",
        "| body | requests/s | nginx CPU per request | more when captured | growth | the programs' own time "
        "| weir CPU per pair | share of nginx's own | exported |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['body']} | {row['rate']:.0f} | {row['server_us']:.2f} µs | {row['server_more_us']:+.2f} µs "
            f"| {row['server_growth']:+.1%} | {row['programs_us']:.2f} µs | {row['weir_us']:.2f} µs "
            f"| {row['weir_us'] / row['server_us']:.0%} | {row['complete']:.2%} |"
        )
    lines += [
        "",
        "\"The programs' own time\" is what the kernel says the eBPF programs ran, for the server and for the client,\n"
        "per request, timing included. What else the server pays is what it meets on a machine whose second CPU\n"
        "is busier with the capture: shared caches, and on a virtual machine perhaps a shared core.\n",
        "A saturated server spends less on a request, since it sleeps and wakes less. The same microseconds beside\n"
        "its cost, and what wrk sees as fast as it goes on two CPUs with no free one, where it gives its CPU to weir\n"
        "and to the collector:\n",
        "| body | nginx CPU per request, saturated | growth | weir's share | throughput ratio | p50 latency ratio "
        "| paired | all accounted for |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        fast = row["server_fast_us"]
        lines.append(
            f"| {row['body']} | {fast:.2f} µs | {row['server_more_us'] / fast:+.1%} | {row['weir_us'] / fast:.0%} "
            f"| {row['throughput']:.3f} | {row['p50']:.2f} | {row['fast_complete']:.2%} "
            f"| {'yes' if row['accounted'] else 'NO'} |"
        )
    lines += [
        "",
        f"Aims: growth at most {AIMS['server_growth']:+.0%}; weir (agent and forwarder, exporter included) at most "
        f"{AIMS['weir_share']:.0%} of nginx's own CPU.",
        "What is not paired is in the ledger as lost, with its reason.\n",
    ]
    return "\n".join(lines)


def thread_table(rows):
    lines = ["Weir's CPU per request by thread, in µs:\n", "| thread | " + " | ".join(row["body"] for row in rows) + " |",
             "|---|" + "---|" * len(rows)]
    names = sorted({name for row in rows for name in row["threads"]})
    for name in names:
        costs = [row["threads"].get(name, 0) for row in rows]
        if max(costs) >= 0.005:
            lines.append(f"| {name} | " + " | ".join(f"{cost:.2f}" for cost in costs) + " |")
    return "\n".join(lines) + "\n"


def steady_table(steady):
    lines = ["## At rest and at a steady rate\n", "| | resident | of it anonymous |", "|---|---|---|"]
    states = [
        ("idle, capture attached", steady["idle"]),
        (f"{steady['rate']:.0f} requests/s, 1 KiB bodies (peak)", steady["busy"]),
        (f"{steady['connections']:,} open connections", steady["many"]),
    ]
    for name, memory in states:
        lines.append(f"| {name} | {memory['rss'] / 1024:.1f} MiB | {memory['anonymous'] / 1024:.1f} MiB |")
    lines += [
        "",
        f"Aim: at most {AIMS['memory_mib']} MiB resident. At {steady['rate']:.0f} requests/s weir used "
        f"{steady['millicores']:.1f} millicores ({steady['weir_us']:.1f} µs per pair,",
        f"{steady['share']:.0%} of nginx's own CPU at that rate).\n",
    ]
    return "\n".join(lines)


def untargeted_table(best):
    plain = best[None]
    lines = ["## What a process that nobody captures pays\n",
             "| operation | no capture | hooks `sock-length` | hooks `syscall-exit` |", "|---|---|---|---|"]
    for name, base in plain.items():
        cells = [f"{base:.0f} ns"]
        for hook in ("sock-length", "syscall-exit"):
            cost = best[hook][name]
            cells.append(f"{cost:.0f} ns ({cost - base:+.0f})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", "10th percentile over batches, lowest of the rounds. tcp_*: one send and its receive over loopback.\n"]
    return "\n".join(lines)
