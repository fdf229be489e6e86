"""Variants with whole-contig context against the same model run the peers' way, and BRCA1, in one run.

- Speed: 1000 Genomes records on 1 Mb of human chromosome 20, both strands. The peers' way is a fresh window of 8,192
  bases around the variant for REF and for each ALT on each strand, one variant at a time; it is timed on a sample.
- Contig length: the same number of variants on 1 Mb and on 12 Mb (yeast, all contigs joined). The cost of a variant is
  what is not spent on streaming.
- Memory: peak resident memory with 3,000 and with all 28,998 records of chromosome 20.
- BRCA1 saturation genome editing: AUROC of LOF against the rest by -TD_LLR, 3,893 SNVs, by horizon; beside it order-k
  Markov models of the region itself and what the study's own table gives for CADD and phyloP.

    python benchmarks/variants.py --model results/demo/model [--model OTHER ...] [--data ../shared/data]

SpliceAI's published rate, printed beside, is about 4,000 variants an hour on a CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from record import in_child, peak_megabytes, write

WINDOW_BP = 8192
RECORDS = 28_998  # of the file for chromosome 20
HORIZONS = (0, 8, 16, 32, 64, 128, 256, 512)
PUBLISHED = {"CADD (study's table)": 0.804, "phyloP (study's table)": 0.781}
SPLICEAI_PER_HOUR = 4000


def alleles_of(fasta, path: Path, contig: str, most: int):
    """Return at most so many alleles of a VCF, evenly chosen."""
    from titans_dna.inference.alleles import read_alleles
    from titans_dna.io.vcf import read_variants

    with read_variants(path) as reader:
        every = read_alleles(reader, fasta, longest_bp=1000).alleles[contig]
    step = max(1.0, len(every) / most)
    chosen = [every[int(i * step)] for i in range(min(most, len(every)))]
    return chosen


def made_alleles(sequence: bytes, count: int):
    """Return SNVs at even distances."""
    from titans_dna.inference.alleles import Allele

    places = [int((i + 0.5) * len(sequence) / count) for i in range(count)]
    return [Allele(i, at, at + 1, b"ACGT"[("ACGT".find(chr(sequence[at])) + 1) % 4 :][:1], at, at + 1)
            for i, at in enumerate(places)]  # fmt: skip


def timed_score(model, sequence: bytes, alleles) -> dict[str, float]:
    """Score on both strands and tell the seconds spent, in all and on haplotypes."""
    from titans_dna.inference import branches
    from titans_dna.inference.score_variants import score_strands

    spent = 0.0
    real = branches._Reading._read_batch

    def read(self, waiting):
        nonlocal spent
        started = time.perf_counter()
        real(self, waiting)
        spent += time.perf_counter() - started

    branches._Reading._read_batch = read
    started = time.perf_counter()
    score_strands(model, sequence, alleles)
    seconds = time.perf_counter() - started
    branches._Reading._read_batch = real
    return {"seconds": seconds, "haplotypes": spent, "variants": len(alleles), "megabytes": peak_megabytes()}


def timed_peers(model, sequence: bytes, alleles) -> float:
    """Return seconds per variant, each in fresh windows of its own, both strands."""
    import torch

    from titans_dna.genome.alphabet import reverse_complement

    def likelihood(text: bytes) -> float:
        ids = torch.from_numpy(model.tokenizer.encode(text).astype("int64"))
        inputs = torch.cat([torch.tensor([model.bos]), ids[:-1]])[None]
        with torch.inference_mode():
            log_p = model.backbone(inputs)[0].log_softmax(-1)
        known = ids < 4
        return float(log_p.gather(-1, ids.where(known, 0)[:, None])[:, 0][known].sum())

    likelihood(sequence[:WINDOW_BP])
    started = time.perf_counter()
    for allele in alleles:
        start = max(0, min(len(sequence) - WINDOW_BP, allele.start - WINDOW_BP // 2))
        ref = sequence[start : start + WINDOW_BP]
        alt = ref[: allele.start - start] + allele.alt + ref[allele.end - start :]
        for text in (ref, alt):
            likelihood(text)
            likelihood(reverse_complement(text))
    return (time.perf_counter() - started) / len(alleles)


def load(folder: str):
    import torch

    from titans_dna.inference.model import load_model

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    return load_model(Path(folder), "cpu")


def chr20(data: Path):
    from titans_dna.io.fasta import open_fasta

    return open_fasta(data / "human/hg19_chr20_1Mb.fa.gz"), data / "human/hg19_chr20_1Mb.1000G.vcf.gz"


def child_speed(options) -> dict[str, float]:
    """Ours and the peers' way on the same variants, in turns."""
    model = load(options.model[0])
    fasta, vcf = chr20(options.data)
    with fasta:
        sequence = fasta.sequence("z")[: options.short_bp]
        alleles = [a for a in alleles_of(fasta, vcf, "z", 10**9) if a.last < len(sequence)]
        step = max(1, len(alleles) // options.variants)
        alleles = alleles[::step][: options.variants]
    sample = alleles[:: max(1, len(alleles) // options.sample)][: options.sample]
    before = timed_peers(model, sequence, sample)
    ours = timed_score(model, sequence, alleles)
    after = timed_peers(model, sequence, sample)
    return {**ours, "peers": (before + after) / 2, "bases": len(sequence)}


def child_length(options) -> dict[str, float]:
    """Made SNVs on so much of the joined yeast genome."""
    from titans_dna.io.fasta import open_fasta

    model = load(options.model[0])
    with open_fasta(options.data / "genomes/yeast_R64-1-1.fa.gz") as fasta:
        sequence = b"".join(fasta.sequence(name) for name in fasta.contigs.names)[: options.bases]
    return timed_score(model, sequence, made_alleles(sequence, options.variants))


def child_memory(options) -> dict[str, float]:
    """The whole way from VCF to VCF, so many records."""
    from titans_dna.inference.variant_file import score_variant_file
    from titans_dna.io.vcf import read_variants

    model = load(options.model[0])
    fasta, vcf = chr20(options.data)
    with fasta, tempfile.TemporaryDirectory() as folder:
        path, written = Path(folder) / "in.vcf", 0
        with read_variants(vcf) as reader, path.open("w") as target:  # record by record: this must not set the peak
            target.write("\n".join([*reader.header.lines, "\t".join(reader.header.columns)]) + "\n")
            for number, record in enumerate(reader):
                if number * options.variants // RECORDS != (number - 1) * options.variants // RECORDS:
                    target.write(record.text + "\n")
                    written += 1
        counts = score_variant_file(model, fasta, path, Path(folder) / "out.vcf.gz")
    return {"records": written, "alts": sum(counts.values()), "megabytes": peak_megabytes()}


def child_brca1(options) -> dict[str, object]:
    """AUROC of one model by horizon."""
    import numpy as np

    from titans_dna.inference.alleles import read_alleles
    from titans_dna.inference.metrics import auroc
    from titans_dna.inference.score_variants import score_strands
    from titans_dna.io.fasta import open_fasta
    from titans_dna.io.vcf import read_variants

    with open_fasta(options.data / "human/hg19_brca1_region.fa") as fasta:
        with read_variants(options.data / "human/hg19_brca1_sge.vcf") as reader:
            labels = np.array([record.info()["CLASS"] == "LOF" for record in reader])
        with read_variants(options.data / "human/hg19_brca1_sge.vcf") as reader:
            alleles = read_alleles(reader, fasta, longest_bp=10).alleles["brca1_region"]
        sequence = fasta.sequence("brca1_region")
    rows = [allele.row for allele in alleles]
    found: dict[str, object] = {}
    if options.markov:
        found["auroc"] = auroc(-markov_scores(sequence, alleles, options.markov), labels[rows])
        return found
    model = load(options.model[0])
    for horizon in options.horizons:
        scores = score_strands(model, sequence, alleles, horizon_bp=horizon).mean(1)
        found[str(horizon)] = auroc(-scores, labels[rows])
    return found


def markov_scores(sequence: bytes, alleles, order: int):
    """ln P(ALT) - ln P(REF) under an order-k model of the region itself (both strands counted)."""
    import numpy as np

    from titans_dna.tokenizers.base import base_ids
    from titans_dna.training.markov import MarkovModel

    ids = base_ids(sequence).astype(np.int64)
    counts = MarkovModel(order, [ids]).counts.astype(float) + 0.25
    log_p = np.log(counts / counts.sum(1, keepdims=True))
    scores = []
    for allele in alleles:
        total = 0.0
        window = ids[allele.start - order : allele.start + order + 1]
        changed = window.copy()
        changed[order] = base_ids(allele.alt)[0]
        for text, sign in ((changed, 1), (window, -1)):
            for strand in (text, (3 - text)[::-1]):
                for at in range(order, len(strand)):
                    word = int(sum(int(b) * 4 ** (order - 1 - i) for i, b in enumerate(strand[at - order : at])))
                    total += sign * log_p[word, strand[at]]
        scores.append(total / 2)
    return np.array(scores)


def main() -> None:
    """Run all parts and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared/data")
    parser.add_argument("--variants", type=int, default=3000)
    parser.add_argument("--sample", type=int, default=12, help="variants timed the peers' way, twice")
    parser.add_argument("--short-bp", type=int, default=1_000_000)
    parser.add_argument("--long-bp", type=int, default=12_000_000)
    parser.add_argument("--many", type=int, default=RECORDS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--horizons", type=int, nargs="*", default=list(HORIZONS))
    parser.add_argument("--parts", nargs="*", default=["speed", "length", "memory", "brca1"])
    parser.add_argument("--bases", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--markov", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(globals()[f"child_{options.child}"](options)))
        return

    def run(child: str, model: str, **changes: object) -> dict:
        arguments = {"model": model, "data": options.data, "variants": options.variants, "sample": options.sample,
                     "short-bp": options.short_bp, **changes}  # fmt: skip
        words = [word for key, value in arguments.items() for word in (f"--{key}", str(value))]
        horizons = ["--horizons", *map(str, options.horizons)]
        return in_child(__file__, "--child", child, *words, *horizons, threads=options.threads)

    first, rows = options.model[0], []
    if "speed" in options.parts:
        r = run("speed", first)
        rate, peers = r["variants"] / r["seconds"], 1 / r["peers"]
        rows.append([f"whole contig, {r['bases']:,} bases, {r['variants']:,} variants", "variants/s", rate, None])
        rows.append([f"fresh windows of {WINDOW_BP:,} bases", "variants/s", peers, None])
        rows.append(["ratio", "times", rate / peers, "at least 20"])
        rows.append(["whole contig", "variants/hour", 3600 * rate, f"SpliceAI published {SPLICEAI_PER_HOUR:,}"])
    if "length" in options.parts:
        short, long = (run("length", first, bases=b) for b in (options.short_bp, options.long_bp))
        costs = [1000 * r["haplotypes"] / r["variants"] for r in (short, long)]
        for name, r, cost in (("short", short, costs[0]), ("long", long, costs[1])):
            bases = options.short_bp if name == "short" else options.long_bp
            rows.append([f"cost of a variant on {bases:,} bases", "ms", cost, None])
            rows.append([f"streaming of {bases:,} bases", "s", r["seconds"] - r["haplotypes"], None])
        rows.append(["cost of a variant, long over short", "times", costs[1] / costs[0], "flat: 1"])
    if "memory" in options.parts:
        few, many = run("memory", first), run("memory", first, variants=options.many)
        for r in (few, many):
            rows.append([f"peak memory, {r['records']:,} records", "MB", r["megabytes"], None])
        rows.append(["peak memory, many over few", "times", many["megabytes"] / few["megabytes"], "flat: 1"])
    if rows:
        title = "Scoring variants with whole-contig context"
        write("variants", title, ["what", "unit", "measured", "beside"], rows, model=first, threads=options.threads)
    if "brca1" in options.parts:
        table = [[name, None, value] for name, value in PUBLISHED.items()]
        for order in (2, 4, 6, 8):
            table.append([f"Markov order {order} of the region", None, run("brca1", first, markov=order)["auroc"]])
        for folder in options.model:
            table += [[Path(folder).name, int(h), value] for h, value in run("brca1", folder).items()]
        title = "BRCA1 saturation editing: AUROC of LOF against the rest, 3,893 SNVs"
        write("variants_brca1", title, ["score", "horizon_bp", "AUROC"], table)


if __name__ == "__main__":
    sys.exit(main())
