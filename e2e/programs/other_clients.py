"""Clients of the component tests whose TLS library is not the system's:
`python3 other_clients.py pycurl|curl_cffi URL REQUESTS CONNECTIONS`.

They begin with a line on their standard input, and say what they got."""

import io
import sys

from server import pattern


def by_pycurl(url, connections, requests_each):
    import pycurl

    assert "OpenSSL/1.1" in pycurl.version, pycurl.version
    yield
    for at in range(connections):
        curl = pycurl.Curl()
        curl.setopt(pycurl.SSL_VERIFYPEER, 0)
        curl.setopt(pycurl.SSL_VERIFYHOST, 0)
        curl.setopt(pycurl.NOPROXY, "*")
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.HTTPHEADER, ["Expect:"])
        for number in range(at * requests_each, (at + 1) * requests_each):
            body, answer = pattern(number * 37 % 40_000), io.BytesIO()
            curl.setopt(pycurl.URL, f"{url}/echo?{number}")
            curl.setopt(pycurl.POST, 1)
            curl.setopt(pycurl.POSTFIELDSIZE, len(body))
            curl.setopt(pycurl.POSTFIELDS, body)
            curl.setopt(pycurl.WRITEDATA, answer)
            curl.perform()
            if answer.getvalue() != body:
                print("wrong answer to", number)
        curl.close()


def by_curl_cffi(url, connections, requests_each):
    from curl_cffi import CurlHttpVersion, requests

    yield
    for at in range(connections):
        with requests.Session(verify=False, http_version=CurlHttpVersion.V1_1, trust_env=False) as session:
            for number in range(at * requests_each, (at + 1) * requests_each):
                body = pattern(number * 37 % 40_000)
                answer = session.post(f"{url}/echo?{number}", data=body)
                if answer.content != body:
                    print("wrong answer to", number)


if __name__ == "__main__":
    name, url, requests_each, connections = sys.argv[1:]
    ways = {"pycurl": by_pycurl, "curl_cffi": by_curl_cffi}
    steps = ways[name](url, int(connections), int(requests_each))
    next(steps)
    sys.stdin.readline()
    next(steps, None)
    print("done")
