"""What the measurements in a cluster share: kubectl, waiting, and percentiles."""

import base64
import http.client
import json
import os
import pathlib
import shlex
import ssl
import subprocess
import tempfile
import time
import urllib.parse

KUBECTL = shlex.split(os.environ.get("KUBECTL", "kubectl"))
MANIFESTS = pathlib.Path(__file__).resolve().parent.parent / "e2e" / "manifests"
WEIR = "weir-system"


def kubectl(*arguments, text=None):
    done = subprocess.run([*KUBECTL, *arguments], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"kubectl {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def get(*arguments):
    return json.loads(kubectl("get", *arguments, "-o", "json"))


def make_namespace(name, *manifests):
    kubectl("apply", "-f", "-", text=f"{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}")
    for manifest in manifests:
        kubectl("apply", "-n", name, "-f", str(MANIFESTS / manifest))
    if manifests:
        kubectl("wait", "-n", name, "--for=condition=Available", "deployment", "--all", "--timeout=60s")


def pod(namespace, selector):
    found = get("pods", "-n", namespace, "-l", selector)["items"]
    running = [each for each in found if "deletionTimestamp" not in each["metadata"]]
    if len(running) != 1:
        raise SystemExit(f"{len(running)} pods in {namespace} with {selector}")
    return running[0]["metadata"]["name"]


def weir_pod(component):
    return pod(WEIR, f"app.kubernetes.io/name=weir,app.kubernetes.io/component={component}")


def wait(what, probe, seconds=60, pause=0.05):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = probe()
        if value:
            return value
        time.sleep(pause)
    raise SystemExit(f"waited in vain for {what}")


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


class Api:
    """One connection to the API server, for what kubectl would be too slow to tell."""

    def __init__(self):
        config = json.loads(kubectl("config", "view", "--raw", "--minify", "-o", "json"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        decoded = {
            name: base64.b64decode(source[name]).decode()
            for source, name in [
                (cluster, "certificate-authority-data"),
                (user, "client-certificate-data"),
                (user, "client-key-data"),
            ]
        }
        context = ssl.create_default_context(cadata=decoded["certificate-authority-data"])
        with tempfile.NamedTemporaryFile("w") as pem:
            pem.write(decoded["client-certificate-data"] + decoded["client-key-data"])
            pem.flush()
            context.load_cert_chain(pem.name)
        server = urllib.parse.urlsplit(cluster["server"])
        self.connection = http.client.HTTPSConnection(server.hostname, server.port, context=context)

    def ask(self, method, path, body=None):
        headers = {"Content-Type": "application/json"} if body else {}
        text = json.dumps(body) if body else None
        try:
            self.connection.request(method, path, body=text, headers=headers)
            response = self.connection.getresponse()
        except http.client.RemoteDisconnected:
            # It was idle for too long; the library opens another one.
            self.connection.request(method, path, body=text, headers=headers)
            response = self.connection.getresponse()
        text = response.read().decode()
        if response.status >= 300:
            raise SystemExit(f"{method} {path}: {response.status} {text[:300]}")
        return text

    def pod(self, namespace, name, port, path):
        return self.ask("GET", f"/api/v1/namespaces/{namespace}/pods/{name}:{port}/proxy{path}")


def metrics(text):
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}
