"""What is measured: nginx, the capture, and the collector that it delivers to."""

import json
import os
import signal
import socket
import subprocess

from machine import Process, cpu_by_thread, place, wait_until

BODIES = {"headers only": "/small", "1 KiB": "/1k", "16 KiB": "/16k"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Nginx:
    """One worker on CPU 0. Bodies come from its memory, so that a capture sees all bytes. With TLS
    where the folder has a certificate."""

    def __init__(self, folder):
        tls = os.path.exists(f"{folder}/cert.pem")
        keys = f"ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;" if tls else ""
        self.port = free_port()
        item = '{\\"id\\":%d,\\"name\\":\\"abcdefghij\\",\\"price\\":12.5},'
        text = "".join(item % (number % 10) for number in range(40))
        kibibyte = take_escaped(text, 1024)
        with open(f"{folder}/nginx.conf", "w") as out:
            out.write(
                f"daemon off; user root; worker_processes 1; pid {folder}/nginx.pid;\n"
                "error_log stderr warn; worker_rlimit_nofile 20000;\n"
                "events { worker_connections 19000; }\n"
                "http { access_log off; keepalive_requests 1000000000; keepalive_timeout 3600;\n"
                "default_type application/json;\n"
                f"client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;\n"
                f"fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
                f"server {{ listen 127.0.0.1:{self.port}{' ssl' if tls else ''} backlog=16384; {keys}\n"
                f'set $k "{kibibyte}";\n'
                'location /small { return 200 "ok"; }\n'
                "location /1k { return 200 $k; }\n"
                f'location /16k {{ return 200 "{"$k" * 16}"; }}\n'
                "} }\n"
            )
        self.process = Process("nginx", folder, ["nginx", "-c", f"{folder}/nginx.conf", "-p", folder])
        wait_until("nginx", lambda: listening(self.port))
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as children:
            self.worker = int(children.read().split()[0])
        place(self.process.pid, 0)
        place(self.worker, 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.end()


def take_escaped(text, length):
    """The start of an nginx string that stands for `length` characters."""
    out, count, at = "", 0, 0
    while count < length:
        step = 2 if text[at] == "\\" else 1
        out, count, at = out + text[at:at + step], count + 1, at + step
    return out


class Collector:
    """The OpenTelemetry Collector with its nop exporter, on CPU 1."""

    def __init__(self, folder, binary):
        self.ports = {"GRPC": free_port(), "HTTP": free_port()}
        with open(f"{folder}/nop.yaml", "w") as out:
            out.write(
                "receivers: {otlp: {protocols: {"
                f"grpc: {{endpoint: 127.0.0.1:{self.ports['GRPC']}}}, "
                f"http: {{endpoint: 127.0.0.1:{self.ports['HTTP']}}}}}}}}}\n"
                "exporters: {nop: {}}\n"
                "service:\n"
                "  telemetry: {metrics: {level: none}, logs: {level: error}}\n"
                "  pipelines: {logs: {receivers: [otlp], exporters: [nop]}}\n"
            )
        self.process = Process("otelcol", folder, ["taskset", "-c", "1", binary, "--config", f"{folder}/nop.yaml"])
        wait_until("the collector", lambda: all(listening(port) for port in self.ports.values()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.end()


class Weir:
    """`weir run` on CPU 1, capturing what listens on `port`, or what `selector` selects."""

    def __init__(self, folder, binary, port, endpoint, transport, hook, selector=None, more=""):
        selector = selector or f'weir.dev/port: "{port}"'
        self.manifests = os.path.join(folder, "manifests")
        os.makedirs(self.manifests, exist_ok=True)
        with open(f"{self.manifests}/capture.yaml", "w") as out:
            out.write(
                "apiVersion: weir.dev/v1alpha1\nkind: TrafficCapture\n"
                "metadata: {name: bench}\n"
                "spec:\n"
                f"  selector: {{matchLabels: {{{selector}}}}}\n"
                f"{more or '  direction: Inbound'}\n"
                "  exporters: [{name: sink}]\n"
                "---\n"
                "apiVersion: weir.dev/v1alpha1\nkind: Exporter\n"
                "metadata: {name: sink}\n"
                f"spec: {{otlp: {{endpoint: \"http://127.0.0.1:{endpoint}\", transport: {transport}}}}}\n"
            )
        words = [binary, "run", "-f", self.manifests, "--report-format", "json"]
        words += ["--state-dir", os.path.join(folder, "state")]
        words += ["--hook", hook] if hook else []
        self.process = Process("weir", folder, words)
        self.process.wait_for("capturing ")
        self.pid = self.process.pid
        place(self.pid, 1)

    def cpu(self):
        return cpu_by_thread(self.pid)

    def ledger(self):
        """Exported records and lost exchanges, now."""
        before = len(self._ledgers())
        os.kill(self.pid, signal.SIGUSR1)
        wait_until("a ledger", lambda: len(self._ledgers()) > before)
        document = json.loads(self._ledgers()[-1])
        decoded = document["node"]["decoded"]
        kernel = sum(counter["exchanges"] for counter in document["kernel"].values())
        half = sum(decoded["half_pairs"].values())
        return {
            "pairs": decoded["pairs"] + decoded["responses_only"] - half,
            "lost": sum(decoded["lost_exchanges"].values()) + kernel + half,
            "exported": sum(exporter["counts"]["exported"] for exporter in document["exporters"]),
        }

    def _ledgers(self):
        lines = self.process.output().splitlines()
        return [line for line in lines if line.startswith("{") and line.endswith("}")]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.end()


def build_micro(folder, source):
    path = f"{folder}/micro"
    subprocess.run(["cc", "-O1", "-o", path, source], check=True)
    return path
