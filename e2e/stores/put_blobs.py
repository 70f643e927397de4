"""Puts the files of a folder into a container of Azure Blob Storage: URL KEY CONTAINER FOLDER.

A file's name is the blob's, percent-encoded. The container is made when it is missing.
"""

import base64
import email.utils
import hashlib
import hmac
import http.client
import os
import sys
import urllib.parse

url, key, container, folder = sys.argv[1:]
url = urllib.parse.urlsplit(url)
account = url.path.strip("/")
connection = http.client.HTTPConnection(url.hostname, url.port)


def put(path, content, query="", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    headers |= {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    canonical = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    resource = f"/{account}{url.path}/{path}"
    for name, value in sorted(urllib.parse.parse_qsl(query)):
        resource += f"\n{name}:{value}"
    length = str(len(content)) if content else ""
    text = f"PUT\n\n\n{length}\n\n\n\n\n\n\n\n\n{canonical}{resource}"
    digest = hmac.digest(base64.b64decode(key), text.encode(), hashlib.sha256)
    headers["Authorization"] = f"SharedKey {account}:{base64.b64encode(digest).decode()}"
    target = f"{url.path}/{path}" + (f"?{query}" if query else "")
    connection.request("PUT", target, body=content, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


status, said = put(container, b"", "restype=container")
if status not in (201, 409):
    sys.exit(f"make the container: {status} {said}")
for name in sorted(os.listdir(folder)):
    with open(os.path.join(folder, name), "rb") as file:
        blob = urllib.parse.unquote(name)
        status, said = put(f"{container}/{blob}", file.read(), x_ms_blob_type="BlockBlob")
    if status != 201:
        sys.exit(f"put {blob}: {status} {said}")
