#!/usr/bin/env python3
"""Thousands of captures at once in a real cluster: time until all are ready, status writes per
object, the operator's memory, and writes when nothing changes any more.

Needs a cluster with Weir installed, whose node is this machine: $KUBECONFIG names the cluster,
$KUBECTL the program.
"""

import argparse
import json
import pathlib
import threading
import time

from cluster import WEIR, Api, kubectl, make_namespace, metrics, wait, weir_pod

NAMESPACE = "bench-many"
PATH = f"/apis/weir.dev/v1alpha1/namespaces/{NAMESPACE}"
WRITERS = 8
IDLE_SECONDS = 30


def capture(index):
    return {
        "apiVersion": "weir.dev/v1alpha1",
        "kind": "TrafficCapture",
        "metadata": {"name": f"c-{index}"},
        "spec": {
            "selector": {"matchLabels": {"app": f"app-{index}"}},
            "exporters": [{"name": "e"}],
        },
    }


def create(count):
    """All of them, by several writers at once."""

    def some(first):
        api = Api()
        for index in range(first, count, WRITERS):
            api.ask("POST", f"{PATH}/trafficcaptures", capture(index))

    threads = [threading.Thread(target=some, args=(first,)) for first in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def ready(api):
    found, rest = 0, ""
    while True:
        page = json.loads(api.ask("GET", f"{PATH}/trafficcaptures?limit=1000&continue={rest}"))
        for each in page["items"]:
            conditions = each.get("status", {}).get("conditions", [])
            found += any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
        rest = page["metadata"].get("continue", "")
        if not rest:
            return found


def memory(program):
    """Peak and present resident MiB of a program that runs in a pod of this machine."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            in_pod = "kubepods" in (folder / "cgroup").read_text()
            if words[0].endswith(program.encode()) and in_pod:
                lines = (folder / "status").read_text().splitlines()
                fields = dict(line.split(":", 1) for line in lines)
                return [int(fields[name].split()[0]) / 1024 for name in ("VmHWM", "VmRSS")]
        except (FileNotFoundError, ProcessLookupError):
            continue
    raise SystemExit(f"no {program} in a pod of this machine")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=5000)
    count = parser.parse_args().count
    make_namespace(NAMESPACE)
    api, operator = Api(), weir_pod("operator")

    def writes():
        counted = metrics(api.pod(WEIR, operator, 8080, "/metrics"))
        return {
            kind: counted[f"weir_operator_{kind}_writes_total"] for kind in ("status", "plan")
        }

    exporter = {
        "apiVersion": "weir.dev/v1alpha1",
        "kind": "Exporter",
        "metadata": {"name": "e"},
        "spec": {"otlp": {"endpoint": "http://127.0.0.1:4318"}},
    }
    api.ask("POST", f"{PATH}/exporters", exporter)
    before, began = writes(), time.monotonic()
    create(count)
    created = time.monotonic() - began
    wait("all to be ready", lambda: ready(api) == count, seconds=900, pause=1)
    all_ready, after = time.monotonic() - began, writes()
    time.sleep(IDLE_SECONDS)
    idle = writes()
    print(
        f"{count} captures: created in {created:.0f} s, all ready {all_ready - created:.1f} s later; "
        f"{(after['status'] - before['status']) / count:.2f} status writes per object, "
        f"{after['plan'] - before['plan']:.0f} plans"
    )
    for kind in ("status", "plan"):
        print(f"{kind} writes in {IDLE_SECONDS} idle seconds: {idle[kind] - after[kind]:.0f}")
    for program in ("weir-operator", "weir-forwarder", "weir-capture-agent"):
        peak, now = memory(program)
        print(f"{program}: {now:.0f} MiB resident, {peak:.0f} MiB at its peak")
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


main()
