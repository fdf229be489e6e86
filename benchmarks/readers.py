"""Speed and memory of the readers, as ratios against the plain library calls in the same run.

    python benchmarks/readers.py [--megabases 100] [--data ../shared/data]

Every pair is first compared for equal results; a pair that differs ends the run without figures. Each time is the
best of several. Ratios hold better than values.
"""

from __future__ import annotations

import argparse
import gzip
import os
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyfaidx
import pysam
import pysam.samtools
import record

from titans_dna.genome import Interval
from titans_dna.io import ConsensusOptions, InfoField, ScoredVcfWriter, open_fasta, open_reads, read_variants
from titans_dna.io.sequence.consensus import run_consensus
from titans_dna.tokenizers import BpeTokenizer, KmerTokenizer, NucleotideTokenizer

LINE_BP = 60
TABLE = bytes({65: 0, 67: 1, 71: 2, 84: 3}.get(code & 0xDF if code < 128 else 0, 4) for code in range(256))


def best(work: Callable[[], object], times: int = 5) -> float:
    """Seconds of the fastest of several runs."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def peak_bytes(work: Callable[[], object]) -> int:
    """Most memory allocated at once while working, numpy arrays included."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def make_fasta(path: Path, bases: int) -> None:
    """Write one contig of random bases, half of them in lower case, with a gap of N."""
    generator = np.random.default_rng(1)
    letters = np.frombuffer(b"ACGTacgt", np.uint8)[generator.integers(0, 8, bases // LINE_BP * LINE_BP, np.uint8)]
    letters[len(letters) // 2 : len(letters) // 2 + len(letters) // 50] = ord("N")
    lines = np.full((len(letters) // LINE_BP, LINE_BP + 1), ord("\n"), np.uint8)
    lines[:, :LINE_BP] = letters.reshape(-1, LINE_BP)
    path.write_bytes(b">chr1\n" + lines.tobytes())


def equal(one: object, other: object, what: str) -> None:
    """End the run where two ways do not give the same."""
    if not np.array_equal(one, other):
        sys.exit(f"{what}: results differ, so there are no figures")


def whole_contig(path: Path) -> list[dict[str, object]]:
    """Contig to ids, against pyfaidx with a look-up and against the least that any reader must do."""
    fasta, faidx = open_fasta(path), pyfaidx.Faidx(str(path), as_raw=True)
    length = fasta.contigs.lengths["chr1"]
    encode = NucleotideTokenizer().encode
    mapped = np.memmap(path, np.uint8, "r")[6:].reshape(-1, LINE_BP + 1)

    def ours() -> object:
        return encode(fasta.letters("chr1"))

    def by_pyfaidx() -> object:
        return np.frombuffer(faidx.fetch("chr1", 1, length).encode().translate(TABLE), np.uint8)

    def least() -> object:
        letters = np.empty(length, np.uint8)
        letters.reshape(-1, LINE_BP)[:] = mapped[:, :LINE_BP]
        return encode(letters)

    def copy_alone() -> object:
        letters = np.empty(length, np.uint8)
        letters.reshape(-1, LINE_BP)[:] = mapped[:, :LINE_BP]
        return letters

    equal(ours(), by_pyfaidx(), "contig to ids")
    equal(ours(), least(), "contig to ids")
    seconds = {f: best(f, 7) for f in (ours, by_pyfaidx, least, copy_alone)}
    rate, what = f"{length / seconds[ours] / 1e6:,.0f} Mb/s", f"FASTA contig of {length / 1e6:.0f} Mb to ids"
    peak = peak_bytes(ours) / length
    return [
        row(what, rate, "pyfaidx read + look-up", seconds[by_pyfaidx] / seconds[ours], ">= 3x as fast"),
        row(what, rate, "time of strided copy + look-up", seconds[ours] / seconds[least], "<= 2x"),
        row(what, rate, "time of the strided copy alone", seconds[ours] / seconds[copy_alone], ""),
        row("peak memory, contig to ids", f"{peak:.2f} bytes/base", "3 bytes/base", peak / 3, "<= 1x"),
    ]


def windows(path: Path, packed: Path) -> list[dict[str, object]]:
    """Random windows of 1 kb a second."""
    fasta, blocked = open_fasta(path), open_fasta(packed)
    faidx, samtools = pyfaidx.Faidx(str(path), as_raw=True), pysam.FastaFile(str(path))
    faidx_blocked = pyfaidx.Faidx(str(packed), as_raw=True)
    length = fasta.contigs.lengths["chr1"]
    starts = np.random.default_rng(2).integers(0, length - 1000, 4000).tolist()
    ways: dict[str, Callable[[int], object]] = {
        "ours": lambda at: fasta.fetch("chr1", at, at + 1000),
        "pyfaidx": lambda at: faidx.fetch("chr1", at + 1, at + 1000).encode(),
        "pysam": lambda at: samtools.fetch("chr1", at, at + 1000).encode(),
        "ours, BGZF": lambda at: blocked.fetch("chr1", at, at + 1000),
        "pyfaidx, BGZF": lambda at: faidx_blocked.fetch("chr1", at + 1, at + 1000).encode(),
    }
    if len({way(at) for way in ways.values() for at in starts[:1]}) != 1:
        sys.exit("windows: results differ, so there are no figures")
    seconds = {}
    for name, way in ways.items():
        few = starts[:400] if "BGZF" in name else starts
        seconds[name] = best(lambda way=way, few=few: [way(at) for at in few], 3) / len(few)  # type: ignore[misc]
    rate, slow = f"{1 / seconds['ours']:,.0f} /s", f"{1 / seconds['ours, BGZF']:,.0f} /s"
    return [
        row("random 1-kb windows, plain", rate, "pyfaidx", seconds["pyfaidx"] / seconds["ours"], ""),
        row("random 1-kb windows, plain", rate, "pysam", seconds["pysam"] / seconds["ours"], ""),
        row("random 1-kb windows, BGZF", slow, "pyfaidx", seconds["pyfaidx, BGZF"] / seconds["ours, BGZF"], ""),
    ]


def variants(path: Path, folder: Path) -> list[dict[str, object]]:
    """VCF records a second, against the bare loop and against one that looks at the alleles."""
    score = InfoField(id="TD_LLR", number="A", type="Float", description="score")

    def bare() -> int:
        with pysam.VariantFile(str(path)) as file:
            return sum(1 for _ in file)

    def alleles() -> list[object]:
        with pysam.VariantFile(str(path)) as file:
            return [(r.chrom, r.pos, r.ref, r.alts or ()) for r in file]

    def ours() -> list[object]:
        return [(r.contig, r.position, r.ref, r.alts) for r in read_variants(path)]

    def ours_bare() -> int:
        return sum(1 for _ in read_variants(path))

    def write_ours() -> None:
        with read_variants(path) as reader, ScoredVcfWriter(folder / "ours.vcf.gz", reader.header, [score]) as writer:
            for r in reader:
                writer.write(r, {"TD_LLR": [0.5] * len(r.alts)})

    def write_pysam() -> None:
        with pysam.VariantFile(str(path)) as source:
            source.header.add_line(score.declaration())
            with pysam.VariantFile(str(folder / "pysam.vcf.gz"), "wz", header=source.header) as target:
                for record in source:
                    record.info["TD_LLR"] = [0.5] * len(record.alts or ())
                    target.write(record)
        pysam.tabix_index(str(folder / "pysam.vcf.gz"), preset="vcf", force=True)

    if ours() != alleles():
        sys.exit("VCF: results differ, so there are no figures")
    count = bare()
    seconds = {f: best(f, 7) for f in (bare, alleles, ours, ours_bare)} | {
        f: best(f, 3) for f in (write_ours, write_pysam)
    }
    rate = f"{count / seconds[ours_bare]:,.0f} /s"
    written = f"{count / seconds[write_ours]:,.0f} /s"
    both = f"{count / seconds[ours]:,.0f} /s"
    return [
        row("VCF records read", rate, "time of the bare pysam loop", seconds[ours_bare] / seconds[bare], "<= 1.5x"),
        row("VCF alleles read", both, "pysam loop reading alleles", seconds[alleles] / seconds[ours], ""),
        row("VCF scored copy", written, "pysam annotate + index", seconds[write_pysam] / seconds[write_ours], ""),
    ]


def consensus(path: Path) -> list[dict[str, object]]:
    """Consensus of 100 kb against the samtools call alone."""
    region = Interval("20", 9_999_900, 10_099_900)
    with open_reads(path) as reads:

        def ours() -> bytes:
            return run_consensus(reads, region, ConsensusOptions(), "-a", "--show-ins", "yes", "--show-del", "no")

        def alone() -> str:
            text: str = pysam.samtools.consensus("-a", "-r", "20:9999901-10099900", str(path))
            return text

        if ours() != "".join(alone().split("\n")[1:]).encode():
            sys.exit("consensus: results differ, so there are no figures")
        seconds = {f: best(f, 5) for f in (ours, alone)}
    rate = f"{region.length_bp / seconds[ours] / 1e6:.1f} Mb/s"
    return [row("consensus of 100 kb", rate, "time of samtools consensus alone", seconds[ours] / seconds[alone], "")]


def tokenizers(path: Path) -> list[dict[str, object]]:
    """Bases a second of every tokenizer, against one token a base."""
    with open_fasta(path) as fasta:
        letters = fasta.letters("chr1", 0, 2_000_000)
    base = NucleotideTokenizer()
    kinds = [
        base,
        KmerTokenizer(6),
        KmerTokenizer(6, overlapping=True),
        BpeTokenizer.train([letters[:500_000].tobytes()], 1024),
    ]
    least = best(lambda: base.encode(letters))
    rows = []
    for kind in kinds:
        seconds = best(lambda kind=kind: kind.encode(letters), 3)  # type: ignore[misc]
        rows.append(
            row(
                f"encode, {kind!r}",
                f"{len(letters) / seconds / 1e6:,.1f} Mb/s",
                "time of one token a base",
                seconds / least,
                "",
            )
        )
    return rows


def row(what: str, value: str, against: str, ratio: float, target: str) -> dict[str, object]:
    """Make one row of the table."""
    return {"what": what, "value": value, "against": against, "ratio": round(float(ratio), 2), "target": target}


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabases", type=int, default=100)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["TITANS_DNA_CACHE"] = str(folder / "cache")
        plain, packed = folder / "random.fa", folder / "random.fa.gz"
        make_fasta(folder / "middle.fa", 20_000_000)
        make_fasta(plain, options.megabases * 1_000_000)
        rows = whole_contig(plain) + whole_contig(folder / "middle.fa")
        make_fasta(folder / "small.fa", 10_000_000)
        with pysam.BGZFile(str(packed), "wb", index=None) as stream:
            stream.write((folder / "small.fa").read_bytes())
        rows += windows(folder / "small.fa", packed) + tokenizers(plain)
        vcf, bam = options.data / "human" / "hg19_chr20_1Mb.1000G.vcf.gz", options.data / "reads" / "NA12878.20.21.bam"
        if not vcf.is_file():  # without the real data: records like it
            vcf = folder / "made.vcf.gz"
            body = "".join(
                f"1\t{n}\trs{n}\tA\tG\t100\tPASS\tAC=1;AF=0.001;AN=5008;NS=2504;DP=18000\n" for n in range(1, 30_000)
            )
            head = "##fileformat=VCFv4.2\n##contig=<ID=1>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
            vcf.write_bytes(gzip.compress((head + body).encode()))
        rows += variants(vcf, folder)
        if bam.is_file():
            rows += consensus(bam)
    columns = ["what", "value", "against", "ratio", "target"]
    versions = {name: version(name) for name in ("pysam", "pyfaidx", "numpy", "tokenizers")}
    title = "Readers and tokenizers: ratios in one run"
    record.write(
        "readers", title, columns, [[r[c] for c in columns] for r in rows], megabases=options.megabases, **versions
    )


if __name__ == "__main__":
    main()
