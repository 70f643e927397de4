#!/usr/bin/env python3
"""Packs programs into a container image, without a daemon and without a registry.

The same content gives the same bytes. Programs that are linked dynamically get the libraries
that the dynamic linker names, so the image needs no base.

usage: image.py OUT.tar NAME:TAG [--user UID] [--entrypoint WORD]... [PATH_IN_IMAGE=FILE]...
"""

import argparse
import hashlib
import io
import json
import os
import subprocess
import tarfile


def libraries(program):
    """Shared libraries of a program, the dynamic linker among them."""
    listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    words = (line.split() for line in listing.stdout.splitlines())
    return {word for line in words for word in line if word.startswith("/")}


def is_program(file):
    with open(file, "rb") as opened:
        return opened.read(4) == b"\x7fELF"


def layer(files):
    """A tar of the files; PATH=@TARGET makes a symbolic link."""
    out = io.BytesIO()
    folders = set()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, source in sorted(files.items()):
            parts = path.strip("/").split("/")
            for depth in range(1, len(parts)):
                folder = "/".join(parts[:depth])
                if folder not in folders:
                    folders.add(folder)
                    info = tarfile.TarInfo(folder)
                    info.type, info.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(info)
            info = tarfile.TarInfo("/".join(parts))
            if source.startswith("@"):
                info.type, info.linkname = tarfile.SYMTYPE, source[1:]
                tar.addfile(info)
                continue
            with open(source, "rb") as opened:
                info.size = os.fstat(opened.fileno()).st_size
                info.mode = 0o755 if os.access(source, os.X_OK) else 0o644
                tar.addfile(info, opened)
    return out.getvalue()


def image(out, name, user, entrypoint, content):
    digest = hashlib.sha256(content).hexdigest()
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
        "os": "linux",
        "config": {
            "User": user,
            "Entrypoint": entrypoint,
            "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    config = json.dumps(config, sort_keys=True).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    layer_name = f"{digest}/layer.tar"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": [layer_name]}]
    parts = {
        config_name: config,
        layer_name: content,
        "manifest.json": json.dumps(manifest).encode(),
    }
    with tarfile.open(out, "w") as tar:
        for path, data in parts.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("name")
    parser.add_argument("--user", default="")
    parser.add_argument("--entrypoint", action="append", default=[])
    parser.add_argument("files", nargs="*")
    arguments = parser.parse_intermixed_args()
    files = dict(pair.split("=", 1) for pair in arguments.files)
    programs = [file for file in files.values() if not file.startswith("@") and is_program(file)]
    for program in programs:
        files.update({library: library for library in libraries(program)})
    image(arguments.out, arguments.name, arguments.user, arguments.entrypoint, layer(files))


main()
