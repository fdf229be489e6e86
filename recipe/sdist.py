"""Build the source distribution of what is committed, byte for byte the same each time, and write it into the recipe.

    python recipe/sdist.py        # dist/titans_dna-VERSION.tar.gz; version and checksum where they stand

What is packed is the last commit, not the working tree. The recipe itself is not in it, so its checksum can be.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
TIME = 315532800  # 1980-01-01, of every file
BUILD = "from setuptools.build_meta import build_sdist; print(build_sdist('packed'))"
PLACES = {  # file: patterns of what stands before a version; one group each
    "recipe/meta.yaml": (r"(?m)(^  version: \").+?(?=\")", r"(titans_dna-)[\w.]+?(?=\.tar\.gz)"),
    "Dockerfile": (r"(image\.version=\").+?(?=\")",),
    "CITATION.cff": (r"(?m)(^version: ).+",),
}


def build(project: Path, folder: Path) -> Path:
    """Build the source distribution of a checkout's last commit into a folder; return its path."""
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name)
        archive = subprocess.run(["git", "-C", project, "archive", "HEAD"], check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(tree, filter="data")
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(TIME)}
        done = subprocess.run(
            [sys.executable, "-c", BUILD], cwd=tree, env=environment, check=True, capture_output=True, text=True
        )
        packed = tree / "packed" / done.stdout.split()[-1]
        folder.mkdir(parents=True, exist_ok=True)
        return _repack(packed, folder / packed.name)


def _repack(packed: Path, target: Path) -> Path:
    """Write a .tar.gz again without what differs from one build to the next: order, times, owners."""
    plain = io.BytesIO()
    with tarfile.open(packed) as old, tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as new:
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = TIME, 0, 0, "", ""
            member.mode, member.pax_headers = 0o755 if member.isdir() else 0o644, {}
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    target.write_bytes(gzip.compress(plain.getvalue(), mtime=0))
    return target


def written(text: str, patterns: tuple[str, ...], version: str) -> str:
    """Return a text with a version in the place of each pattern's."""
    for pattern in patterns:
        text = re.sub(pattern, rf"\g<1>{version}", text)
    return text


def main() -> None:
    """Build, and write version and checksum where they stand."""
    path = build(PROJECT, PROJECT / "dist")
    version = path.name.removeprefix("titans_dna-").removesuffix(".tar.gz")
    for name, patterns in PLACES.items():
        file = PROJECT / name
        file.write_text(written(file.read_text(), patterns, version))
    recipe, checksum = PROJECT / "recipe/meta.yaml", hashlib.sha256(path.read_bytes()).hexdigest()
    recipe.write_text(re.sub(r"(?m)(^  sha256: ).+", rf"\g<1>{checksum}", recipe.read_text()))
    print(f"{path.relative_to(PROJECT)}  sha256 {checksum}")


if __name__ == "__main__":
    main()
