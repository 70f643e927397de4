#!/usr/bin/env python3
"""Time from `kubectl apply` of a capture to its first record at a collector, p50 and p95.

Needs a cluster with Weir installed and the images of e2e/cluster/images.sh: $KUBECONFIG names the
cluster, $KUBECTL the program. Requests are made all the time; each run applies a capture, waits for
its first record by the record's own arrival at the collector, and deletes the capture again.
"""

import argparse
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import time

KUBECTL = shlex.split(os.environ.get("KUBECTL", "kubectl"))
MANIFESTS = pathlib.Path(__file__).resolve().parent.parent / "e2e" / "manifests"
NAMESPACE = "bench-first-record"


def kubectl(*arguments, text=None):
    done = subprocess.run([*KUBECTL, *arguments], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"kubectl {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def pod(app):
    found = json.loads(kubectl("get", "pods", "-n", NAMESPACE, "-l", f"app={app}", "-o", "json"))
    return found["items"][0]["metadata"]["name"]


def service(name):
    return kubectl("get", "service", name, "-n", NAMESPACE, "-o", "jsonpath={.spec.clusterIP}")


def collected(collector):
    return kubectl("exec", "-n", NAMESPACE, collector, "--", "/bin/cat", "/out/records.json")


def observed_after(text, began):
    """When the first record after `began` was exported, in seconds; None without one."""
    first = None
    for line in text.splitlines():
        for resource in json.loads(line)["resourceLogs"]:
            for scope in resource["scopeLogs"]:
                for record in scope["logRecords"]:
                    at = int(record["observedTimeUnixNano"]) / 1e9
                    if at > began and (first is None or at < first):
                        first = at
    return first


def capture(collector):
    return f"""
apiVersion: weir.dev/v1alpha1
kind: Exporter
metadata: {{name: collector}}
spec: {{otlp: {{endpoint: 'http://{collector}:4318'}}}}
---
apiVersion: weir.dev/v1alpha1
kind: TrafficCapture
metadata: {{name: first}}
spec:
  selector: {{matchLabels: {{app: orders-api}}}}
  direction: Inbound
  exporters: [{{name: collector}}]
"""


def node_pod():
    selector = "app.kubernetes.io/name=weir,app.kubernetes.io/component=node"
    found = json.loads(kubectl("get", "pods", "-n", "weir-system", "-l", selector, "-o", "json"))
    return found["items"][0]["metadata"]["name"]


def wait(what, probe):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        value = probe()
        if value:
            return value
        time.sleep(0.05)
    raise SystemExit(f"waited in vain for {what}")


def detached(node):
    path = f"/api/v1/namespaces/weir-system/pods/{node}:9464/proxy/status"
    status = json.loads(kubectl("get", "--raw", path))
    return not status["agent"]["hooksAttached"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    kubectl("apply", "-f", "-", text=f"{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}")
    for manifest in ["shop.yaml", "collector.yaml"]:
        kubectl("apply", "-n", NAMESPACE, "-f", str(MANIFESTS / manifest))
    kubectl("wait", "-n", NAMESPACE, "--for=condition=Available", "deployment", "--all", "--timeout=60s")
    web, collector, node = pod("orders-web"), pod("collector"), node_pod()
    proxy = f"/api/v1/namespaces/{NAMESPACE}/pods/{web}:8080/proxy"
    kubectl("get", "--raw", f"{proxy}/start?rate=100&prefix=b&to=http://{service('api')}:8080")
    manifest, times = capture(service("collector")), []
    for _ in range(runs):
        wait("the hooks to be detached", lambda: detached(node))
        began = time.time()
        kubectl("apply", "-n", NAMESPACE, "-f", "-", text=manifest)
        applied = time.time()
        first = wait("a record", lambda: observed_after(collected(collector), began))
        times.append((first - began, first - applied))
        kubectl("delete", "-n", NAMESPACE, "trafficcapture", "first")
    sent = json.loads(kubectl("get", "--raw", f"{proxy}/stop"))
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")
    print(f"{runs} runs, {sent['requests']} requests meanwhile, {sent['failed']} failed")
    for name, column in [("start of kubectl apply", 0), ("end of kubectl apply", 1)]:
        values = sorted(row[column] * 1000 for row in times)
        p95 = values[min(len(values) - 1, int(len(values) * 0.95))]
        print(f"from the {name}: p50 {statistics.median(values):.0f} ms, p95 {p95:.0f} ms, "
              f"most {values[-1]:.0f} ms")


main()
