"""A client of the component tests: `python3 client.py URL REQUESTS CONNECTIONS`, by requests.

It begins with a line on its standard input, and says what it got."""

import sys
import threading

import requests
import urllib3

from server import pattern


def exchange(url, numbers):
    with requests.Session() as session:
        session.trust_env = False
        for number in numbers:
            body = pattern(number * 37 % 40_000)
            answer = session.post(f"{url}/echo?{number}", data=body, verify=False)
            if answer.status_code != 200 or answer.content != body:
                print("wrong answer to", number, flush=True)


if __name__ == "__main__":
    urllib3.disable_warnings()
    url, requests_each, connections = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    sys.stdin.readline()
    threads = [
        threading.Thread(target=exchange, args=(url, range(at * requests_each, (at + 1) * requests_each)))
        for at in range(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("done", flush=True)
