"""Clients: wrk as fast as it goes, a paced one, and many open connections."""

import os
import re
import selectors
import socket
import subprocess
import time

from machine import placed


PACE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pace.lua")


def wrk(cpu, port, path, seconds, connections, script=None):
    """Runs wrk; gives requests, requests per second and latencies in milliseconds."""
    words = placed(cpu, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency",
                   *(["-s", script] if script else []), f"http://127.0.0.1:{port}{path}")
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    errors = re.search(r"Socket errors.*|Non-2xx.*", text)
    if errors:
        raise RuntimeError(errors.group())
    return {
        "requests": int(re.search(r"(\d+) requests in", text).group(1)),
        "per_second": float(re.search(r"Requests/sec:\s*([\d.]+)", text).group(1)),
        "p50_ms": milliseconds(re.search(r"^ +50% +(\S+)", text, re.M).group(1)),
        "p99_ms": milliseconds(re.search(r"^ +99% +(\S+)", text, re.M).group(1)),
    }


def milliseconds(text):
    value, unit = re.match(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(value) * {"us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4}[unit]


class Client:
    """One keep-alive connection."""

    def __init__(self, port, path):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request = f"GET {path} HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\n\r\n".encode()

    def exchange(self):
        self.socket.sendall(self.request)
        got = b""
        while b"\r\n\r\n" not in got:
            got += self._receive()
        head, _, body = got.partition(b"\r\n\r\n")
        left = int(re.search(rb"content-length: *(\d+)", head, re.I).group(1)) - len(body)
        while left > 0:
            left -= len(self._receive())

    def _receive(self):
        piece = self.socket.recv(65536)
        if not piece:
            raise RuntimeError("the server closed the connection")
        return piece

    def close(self):
        self.socket.close()


def paced(port, path, rate, seconds, connections=16, tick=lambda: None):
    """Sends `rate` requests per second; gives how many, and calls `tick` about twice a second."""
    clients = [Client(port, path) for _ in range(connections)]
    begin = next_tick = time.monotonic()
    sent = 0
    while (now := time.monotonic()) - begin < seconds:
        if now >= next_tick:
            tick()
            next_tick += 0.5
        if sent >= (now - begin) * rate:
            time.sleep(0.002)
            continue
        clients[sent % connections].exchange()
        sent += 1
    for client in clients:
        client.close()
    return sent


def open_many(port, path, count):
    """Opens `count` connections, makes one exchange on each, and gives them still open."""
    clients = []
    for _ in range(count):
        client = Client(port, path)
        client.exchange()
        clients.append(client)
    return clients


def answer_all(clients):
    """One more exchange on every connection, all at the same time."""
    selector = selectors.DefaultSelector()
    for client in clients:
        client.socket.sendall(client.request)
        selector.register(client.socket, selectors.EVENT_READ)
    waiting = len(clients)
    while waiting:
        for key, _ in selector.select():
            key.fileobj.recv(65536)
            selector.unregister(key.fileobj)
            waiting -= 1
