"""A Python server of the component tests: `python3 server.py PORT [CERTIFICATE KEY]`, or `wsgi` under gunicorn."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def pattern(length):
    return bytes((at * 31 + 7) & 0xFF for at in range(256)) * (length // 256) + bytes(
        (at * 31 + 7) & 0xFF for at in range(length % 256)
    )


def answer(path, body):
    path = path.split("?")[0]
    if path == "/none":
        return 204, b""
    if path == "/echo":
        return 200, body
    return 200, pattern(int(path.split("/")[2]))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        out = b""
        while size := int(self.rfile.readline(), 16):
            out += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return out

    def handle_any(self):
        status, body = answer(self.path, self.body())
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 256


def wsgi(environ, start_response):
    target = environ["RAW_URI"]
    status, body = answer(target, environ["wsgi.input"].read())
    headers = [] if status == 204 else [("Content-Length", str(len(body)))]
    start_response(f"{status} ok", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


if __name__ == "__main__":
    server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
    if len(sys.argv) > 2:
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
