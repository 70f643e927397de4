#!/usr/bin/env python3
"""Time from `kubectl apply` of a capture to its first record at a collector, and from its deletion
until no hook is attached any more: p50 and p95.

Needs a cluster with Weir installed and the images of e2e/cluster/images.sh: $KUBECONFIG names the
cluster, $KUBECTL the program. Requests are made all the time; each run applies a capture, waits for
its first record by the time at which the forwarder exported it, and deletes the capture again.
"""

import argparse
import json
import time

from cluster import WEIR, Api, get, kubectl, make_namespace, percentile, pod, wait, weir_pod

NAMESPACE = "bench-first-record"


def service(name):
    return get("service", name, "-n", NAMESPACE)["spec"]["clusterIP"]


def collected(collector):
    return kubectl("exec", "-n", NAMESPACE, collector, "--", "/bin/cat", "/out/records.json")


def exported_after(text, began):
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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    make_namespace(NAMESPACE, "shop.yaml", "collector.yaml")
    web, collector = pod(NAMESPACE, "app=orders-web"), pod(NAMESPACE, "app=collector")
    node, api = weir_pod("node"), Api()

    def detached():
        status = json.loads(api.pod(WEIR, node, 9464, "/status"))
        return not status["agent"]["hooksAttached"]

    api.pod(NAMESPACE, web, 8080, f"/start?rate=100&prefix=b&to=http://{service('api')}:8080")
    manifest, times = capture(service("collector")), []
    path = f"/apis/weir.dev/v1alpha1/namespaces/{NAMESPACE}/trafficcaptures/first"
    for _ in range(runs):
        wait("the hooks to be detached", detached)
        began = time.time()
        kubectl("apply", "-n", NAMESPACE, "-f", "-", text=manifest)
        applied = time.time()
        first = wait("a record", lambda began=began: exported_after(collected(collector), began))
        deleting = time.time()
        api.ask("DELETE", path)
        wait("the hooks to be detached", detached, pause=0.01)
        times.append((first - began, first - applied, time.time() - deleting))
    sent = json.loads(api.pod(NAMESPACE, web, 8080, "/stop"))
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")
    print(f"{runs} runs, {sent['requests']} requests meanwhile, {sent['failed']} failed")
    for name, column in [
        ("start of kubectl apply to the first record", 0),
        ("end of kubectl apply to the first record", 1),
        ("deletion to no hook attached", 2),
    ]:
        values = [row[column] * 1000 for row in times]
        p50, p95 = percentile(values, 0.5), percentile(values, 0.95)
        print(f"{name}: p50 {p50:.0f} ms, p95 {p95:.0f} ms, most {max(values):.0f} ms")


main()
