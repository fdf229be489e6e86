"""The download of a reference: a transfer that breaks goes on, a file that is not what it should be gets no name."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

CONTENT = gzip.compress(b">one\n" + b"ACGTTGCA" * 40_000 + b"\n>two\nACGT\n", compresslevel=0, mtime=0)
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Sends CONTENT, or as much of it as `breaks` says."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.breaks: list[int] = []  # bytes after which each coming answer breaks off
        self.ranges = True  # whether it can send a part of a file
        self.status = 0  # error to answer with, 0 for none
        self.asked: list[str] = []  # Range of each request

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/genome.fa.gz"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        self.server.asked.append(asked)
        first = int(asked[6:-1]) if asked and self.server.ranges else 0
        if self.server.status or first >= len(CONTENT):
            self.send_error(self.server.status or 416)
            return
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(CONTENT) - first))
        self.end_headers()
        length = self.server.breaks.pop(0) if self.server.breaks else len(CONTENT)
        self.wfile.write(CONTENT[first : first + length])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def download(project, tmp_path):
    """A function that runs the script; the file is `genome.fa.gz`."""

    def run(url: str, checksum: str = SHA256) -> subprocess.CompletedProcess[str]:
        script = project / "pipelines/scripts/download.py"
        where = ["--output", tmp_path / "genome.fa.gz", "--wait", "0", "--attempts", "3"]
        command = [sys.executable, script, url, "--checksum", checksum, *where]
        return subprocess.run(
            list(map(str, command)), capture_output=True, text=True, timeout=60, env={"no_proxy": "127.0.0.1"}
        )

    return run


@pytest.mark.parametrize("checksum", [SHA256, MD5, SHA256.upper()])
def test_a_whole_transfer(server, download, tmp_path, checksum):
    done = download(server.url, checksum)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "genome.fa.gz").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["genome.fa.gz"]


def test_a_broken_transfer_goes_on_where_it_was(server, download, tmp_path):
    server.breaks = [1000, 50_000]
    done = download(server.url)
    assert done.returncode == 0, done.stderr
    assert server.asked == ["", "bytes=1000-", "bytes=51000-"]
    assert (tmp_path / "genome.fa.gz").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_all_of_it_again(server, download, tmp_path):
    server.breaks, server.ranges = [1000], False
    assert download(server.url).returncode == 0
    assert (tmp_path / "genome.fa.gz").read_bytes() == CONTENT


def test_what_has_come_is_kept_for_the_next_run(server, download, tmp_path):
    server.breaks = [2000, 0, 0, 0]
    done = download(server.url)
    assert done.returncode == 1
    assert "2,000 bytes are kept" in done.stderr
    assert not (tmp_path / "genome.fa.gz").exists()
    assert download(server.url).returncode == 0
    assert server.asked[-1] == "bytes=2000-"
    assert (tmp_path / "genome.fa.gz").read_bytes() == CONTENT


def test_a_whole_part_that_was_not_yet_renamed(server, download, tmp_path):
    (tmp_path / "genome.fa.gz.part").write_bytes(CONTENT)
    assert download(server.url).returncode == 0
    assert (tmp_path / "genome.fa.gz").read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing(server, download, tmp_path):
    done = download(server.url, "sha256:" + "0" * 64)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: {server.url}: the file's sha256 is {SHA256[7:]}, not 0000")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("status", "told"), [(404, "404 Not Found. Check the address"), (503, "503")])
def test_an_error_of_the_server_is_told_in_one_line(server, download, tmp_path, status, told):
    server.status = status
    done = download(server.url)
    assert done.returncode == 1
    assert told in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert len(server.asked) == (1 if status == 404 else 3)


def test_a_checksum_that_is_none_is_refused_before_any_transfer(server, download):
    done = download(server.url, "sha1:abc")
    assert done.returncode == 1
    assert "write sha256: or md5:" in done.stderr
    assert server.asked == []


def settings(server: Server, folder: Path, checksum: str) -> None:
    (folder / "a.vcf").touch()
    (folder / "my.tsv").write_text("sample\tvcf\nA\ta.vcf\n")
    (folder / "my.yaml").write_text(
        "samples: my.tsv\ngenome: {assembly: tiny1, holdout: [two]}\n"
        f"assemblies:\n  tiny1: {{url: '{server.url}', checksum: '{checksum}'}}\n"
    )


def test_the_workflow_downloads_the_assembly_first(server, tmp_path, snakemake, stand_in):
    pytest.importorskip("snakemake", reason="snakemake is not installed")
    settings(server, tmp_path, SHA256)
    server.breaks = [1000]
    done = snakemake(tmp_path, "--cores", 1, "evaluate", "--configfile", "my.yaml", path=stand_in)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results/reference/tiny1.fa.gz").read_bytes() == CONTENT
    calls = (tmp_path / "calls.txt").read_text()
    assert "pretrain --fasta results/reference/tiny1.fa.gz --holdout two" in calls


def test_the_workflow_stops_at_a_wrong_checksum(server, tmp_path, snakemake, stand_in):
    pytest.importorskip("snakemake", reason="snakemake is not installed")
    settings(server, tmp_path, MD5[:-1] + ("1" if MD5[-1] == "0" else "0"))
    done = snakemake(tmp_path, "--cores", 1, "evaluate", "--show-failed-logs", "--configfile", "my.yaml", path=stand_in)
    assert done.returncode != 0
    assert "the file's md5 is" in done.stdout + done.stderr
    assert not (tmp_path / "results/reference/tiny1.fa.gz").exists()
    assert not (tmp_path / "calls.txt").exists()


def test_an_assembly_without_an_address_is_refused(server, tmp_path, snakemake):
    settings(server, tmp_path, SHA256)
    done = snakemake(
        tmp_path, "--cores", 1, "-n", "--configfile", "my.yaml", "--config", "genome={assembly: hg99, holdout: [two]}"
    )
    assert done.returncode != 0
    assert "'hg99' is none of `assemblies`" in done.stdout + done.stderr
