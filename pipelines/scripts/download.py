"""Download one file and check it: a transfer that breaks goes on where it was, and only a right file gets its name.

Until then it is OUTPUT.part, which a second call goes on with. A file that is not what its checksum says is removed.
A rule of the workflow runs it by `script:`, and a shell as a command.
"""

import argparse
import hashlib
import http.client
import re
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

BLOCK = 1 << 20  # bytes
GONE = 416  # "range not satisfiable": the part is at least as long as the file


def main() -> None:
    """Read the command line and download."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--checksum", required=True, help="sha256:HEX or md5:HEX of the file.")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--attempts", type=int, default=5, help="Tries in a row that may bring nothing.")
    parser.add_argument(
        "--wait", type=float, default=5.0, help="Seconds before the second try; each next waits longer."
    )
    given = parser.parse_args()
    download(given.url, given.checksum, given.output, attempts=given.attempts, wait=given.wait)


def download(url: str, checksum: str, output: Path, *, attempts: int = 5, wait: float = 5.0) -> None:
    """Download, check, rename."""
    kind, _, expected = checksum.lower().partition(":")
    if not re.fullmatch(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", f"{kind}:{expected}"):
        sys.exit(f"error: checksum is {checksum!r}; write sha256: or md5: and the hexadecimal digits")
    part = output.with_name(output.name + ".part")
    fetch(url, part, attempts=attempts, wait=wait)
    found = digest(part, kind)
    if found != expected:
        part.unlink()
        sys.exit(
            f"error: {url}: the file's {kind} is {found}, not {expected} as the settings say. "
            "Compare the checksum with that of the source, then run again."
        )
    part.replace(output)


def fetch(url: str, part: Path, *, attempts: int, wait: float) -> None:
    """Bring the whole file into `part`; tries that bring nothing are counted, others start the count anew."""
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            go_on(url, part, before)
            return
        except urllib.error.HTTPError as error:
            if error.code == GONE and before:
                part.unlink()  # of another file, or too long; if it was whole, the last try had ended well
            elif error.code < 500:
                sys.exit(f"error: {url}: {error.code} {error.reason}. Check the address in the settings.")
            reason: object = error
        except (OSError, http.client.HTTPException) as error:
            reason = error
        after = part.stat().st_size if part.exists() else 0
        failures = 0 if after > before else failures + 1
        if failures >= attempts:
            sys.exit(f"error: {url}: {reason}. {after:,} bytes are kept in {part}; run again to go on.")
        print(f"{url}: {reason or 'broken off'} after {after:,} bytes; trying again", file=sys.stderr)
        time.sleep(wait * failures)


def go_on(url: str, part: Path, have: int) -> None:
    """Add what is missing to `part`; a server that cannot send a part of a file sends all of it."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=60) as answer:
        partial = answer.status == http.client.PARTIAL_CONTENT
        with part.open("ab" if partial else "wb") as file:
            while block := answer.read(BLOCK):
                file.write(block)
        expected = answer.headers.get("Content-Length")
        received = part.stat().st_size - (have if partial else 0)
        if expected is not None and received < int(expected):
            raise OSError(f"{received:,} of {expected} bytes came")


def digest(path: Path, kind: str) -> str:
    """The checksum of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


if "snakemake" in globals():
    sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)  # noqa: SIM115, for the error that ends the process too
    download(snakemake.params.url, snakemake.params.checksum, Path(snakemake.output[0]))
elif __name__ == "__main__":
    main()
