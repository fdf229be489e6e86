"""Variants with whole-contig context against the same model run the peers' way, and BRCA1; a table for each part.

- speed: 1000 Genomes records on 1 Mb of human chromosome 20, both strands. The peers' way is a fresh window of 8,192
  bases around the variant for REF and for each ALT on each strand, one variant at a time; it is timed on a sample,
  before and after, in the same process.
- length: the same number of variants on 1 Mb and on 12 Mb (yeast, all contigs joined), forward strand. The cost of a
  variant is what is not spent on streaming. In processor seconds, so other work on the machine hardly matters.
- memory: peak resident memory from VCF to VCF with 3,000 and with all 28,998 records of chromosome 20, horizon 16.
- horizon: variants per processor second, and agreement of the scores with those of the longest horizon, by horizon;
  every fourth of the variants and bases of "speed".
- brca1: BRCA1 saturation genome editing, AUROC of LOF against the rest by -TD_LLR, 3,893 SNVs: the first model by
  horizon, the others at the default horizon; beside it order-k Markov models of the region itself and what the study's
  own table gives for CADD and phyloP.

    python benchmarks/variants.py --model default [--model OTHER ...] [--parts speed ...] [--data ../shared/data]

The first model is measured, all of them are judged on BRCA1. The default of --horizon is chosen by the parts horizon
and brca1. SpliceAI's published rate, printed beside, is about 4,000 variants an hour on a CPU.
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
HORIZONS = (16, 32, 64, 128, 256, 512, 1024)
PUBLISHED = {"CADD (study's table)": 0.804, "phyloP (study's table)": 0.781}
SPLICEAI_PER_HOUR = 4000


def made_alleles(sequence: bytes, count: int):
    """Return SNVs at even distances."""
    from titans_dna.inference.alleles import Allele

    places = [int((i + 0.5) * len(sequence) / count) for i in range(count)]
    return [Allele(i, at, at + 1, b"ACGT"[("ACGT".find(chr(sequence[at])) + 1) % 4 :][:1], at, at + 1)
            for i, at in enumerate(places)]  # fmt: skip


def timed_score(model, sequence: bytes, alleles, strands=(False, True)) -> dict[str, float]:
    """Score and tell the seconds spent, in all and on haplotypes, by the clock and of the processor."""
    from titans_dna.inference import branches
    from titans_dna.inference.score_variants import score_strands

    spent = busy = 0.0
    real = branches._Reading._read_batch

    def read(self, waiting):
        nonlocal spent, busy
        started, before = time.perf_counter(), time.process_time()
        real(self, waiting)
        spent, busy = spent + time.perf_counter() - started, busy + time.process_time() - before

    branches._Reading._read_batch = read
    started, before = time.perf_counter(), time.process_time()
    score_strands(model, sequence, alleles, strands=strands)
    seconds, processor = time.perf_counter() - started, time.process_time() - before
    branches._Reading._read_batch = real
    return {
        "seconds": seconds,
        "haplotypes": spent,
        "processor": processor,
        "processor_haplotypes": busy,
        "variants": len(alleles),
        "megabytes": peak_megabytes(),
    }


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

    from titans_dna.checkpoints import model_folder
    from titans_dna.inference.model import load_model

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    return load_model(model_folder(Path(folder)), "cpu")


def chr20(data: Path):
    from titans_dna.io.sequence.fasta import open_fasta

    return open_fasta(data / "human/hg19_chr20_1Mb.fa.gz"), data / "human/hg19_chr20_1Mb.1000G.vcf.gz"


def chr20_alleles(data: Path, bases: int, most: int):
    """Return the first bases of chromosome 20 and at most so many alleles on them, evenly chosen."""
    from titans_dna.inference.alleles import read_alleles
    from titans_dna.io.variants.vcf import read_variants

    fasta, vcf = chr20(data)
    with fasta, read_variants(vcf) as reader:
        sequence = fasta.sequence("z")[:bases]
        every = [a for a in read_alleles(reader, fasta, longest_bp=1000).alleles["z"] if a.last < bases]
    return sequence, [every[int(i * max(1.0, len(every) / most))] for i in range(min(most, len(every)))]


def child_horizon(options) -> dict[str, object]:
    """Seconds by horizon, and how the scores agree with those of the longest."""
    import numpy as np

    from titans_dna.inference.score_variants import score_strands

    model = load(options.model[0])
    sequence, alleles = chr20_alleles(options.data, options.short_bp // 4, options.variants // 4)
    substitution = np.array([len(allele.alt) == allele.end - allele.start for allele in alleles])
    seconds, scores = {}, {}
    for horizon in options.horizons:
        started = time.process_time()
        scores[horizon] = score_strands(model, sequence, alleles, horizon_bp=horizon).mean(1)
        seconds[horizon] = time.process_time() - started
    longest = scores[max(options.horizons)]
    rows = [
        [h, len(alleles) / seconds[h], *(float(np.corrcoef(scores[h][kind], longest[kind])[0, 1])
                                         for kind in (substitution, ~substitution))]
        for h in options.horizons
    ]  # fmt: skip
    return {"rows": rows, "variants": len(alleles), "indels": int((~substitution).sum()), "bases": len(sequence)}


def child_speed(options) -> dict[str, float]:
    """Ours and the peers' way on the same variants, in turns."""
    model = load(options.model[0])
    sequence, alleles = chr20_alleles(options.data, options.short_bp, options.variants)
    sample = alleles[:: max(1, len(alleles) // options.sample)][: options.sample]
    before = timed_peers(model, sequence, sample)
    ours = timed_score(model, sequence, alleles)
    after = timed_peers(model, sequence, sample)
    return {**ours, "peers": (before + after) / 2, "bases": len(sequence)}


def child_length(options) -> dict[str, float]:
    """Made SNVs on so much of the joined yeast genome."""
    from titans_dna.io.sequence.fasta import open_fasta

    model = load(options.model[0])
    with open_fasta(options.data / "genomes/yeast_R64-1-1.fa.gz") as fasta:
        sequence = b"".join(fasta.sequence(name) for name in fasta.contigs.names)[: options.bases]
    return timed_score(model, sequence, made_alleles(sequence, options.variants), strands=(False,))


def child_memory(options) -> dict[str, float]:
    """The whole way from VCF to VCF, so many records."""
    from titans_dna.io.variants.vcf import read_variants
    from titans_dna.jobs.variant_scores import ScoringOptions
    from titans_dna.jobs.variants import score_variant_file

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
        counts = score_variant_file(
            model, fasta, path, Path(folder) / "out.vcf.gz", options=ScoringOptions(horizon_bp=16)
        )
    return {"records": written, "alts": sum(counts.values()), "megabytes": peak_megabytes()}


def child_brca1(options) -> dict[str, object]:
    """AUROC of one model by horizon."""
    import numpy as np

    from titans_dna.inference.alleles import read_alleles
    from titans_dna.inference.metrics import auroc
    from titans_dna.inference.score_variants import score_strands
    from titans_dna.io.sequence.fasta import open_fasta
    from titans_dna.io.variants.vcf import read_variants

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


def speed(run) -> list[list[object]]:
    """Rate and ratio."""
    r = run("speed")
    rate, peers = r["variants"] / r["seconds"], 1 / r["peers"]
    return [
        [f"whole contig, {r['bases']:,} bases, {r['variants']:,} variants", "variants/s", rate, None],
        [f"fresh windows of {WINDOW_BP:,} bases", "variants/s", peers, None],
        ["ratio", "times", rate / peers, "at least 20"],
        ["whole contig", "variants/hour", 3600 * rate, f"SpliceAI published {SPLICEAI_PER_HOUR:,}"],
    ]


def length(run, short_bp: int, long_bp: int) -> list[list[object]]:
    """Cost of a variant on a short and on a long contig."""
    rows: list[list[object]] = []
    costs = []
    for bases in (short_bp, long_bp):
        r = run("length", bases=bases)
        costs.append(1000 * r["processor_haplotypes"] / r["variants"])
        rows.append([f"cost of a variant on {bases:,} bases", "processor ms", costs[-1], None])
        streaming = r["processor"] - r["processor_haplotypes"]
        rows.append([f"streaming of {bases:,} bases", "processor s", streaming, None])
        rows.append([f"peak memory on {bases:,} bases", "MB", r["megabytes"], None])
    return [*rows, ["cost of a variant, long over short", "times", costs[1] / costs[0], "flat: 1"]]


def memory(run, many: int) -> list[list[object]]:
    """Peak memory with few and with many records."""
    found = [run("memory"), run("memory", variants=many)]
    rows = [[f"peak memory, {r['records']:,} records", "MB", r["megabytes"], None] for r in found]
    ratio = found[1]["megabytes"] / found[0]["megabytes"]
    return [*rows, ["peak memory, many over few", "times", ratio, "flat: 1"]]


def brca1(run, models: list[str]) -> list[list[object]]:
    """AUROC of every model and of what stands beside it."""
    table = [[name, None, value] for name, value in PUBLISHED.items()]
    for order in (2, 4, 6, 8):
        table.append([f"Markov order {order} of the region", None, run("brca1", markov=order)["auroc"]])
    from titans_dna.inference.score_variants import HORIZON_BP

    for number, folder in enumerate(models):
        changed = {"horizons": HORIZON_BP} if number else {}
        name = "/".join(Path(folder).parts[-2:])
        table += [[name, int(h), value] for h, value in run("brca1", model=folder, **changed).items()]
    return table


MEASURED = ["what", "unit", "measured", "beside"]
PARTS = ("speed", "length", "memory", "horizon", "brca1")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared/data")
    parser.add_argument("--variants", type=int, default=3000)
    parser.add_argument("--sample", type=int, default=12, help="variants timed the peers' way, twice")
    parser.add_argument("--short-bp", type=int, default=1_000_000)
    parser.add_argument("--long-bp", type=int, default=12_000_000)
    parser.add_argument("--many", type=int, default=RECORDS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--horizons", type=int, nargs="*", default=list(HORIZONS))
    parser.add_argument("--parts", nargs="*", default=PARTS, choices=PARTS)
    parser.add_argument("--bases", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--markov", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Run the parts and write a table of each."""
    options = arguments()
    if options.child:
        print(json.dumps(globals()[f"child_{options.child}"](options)))
        return

    def run(child: str, **changes: object) -> dict:
        given = {"model": options.model[0], "data": options.data, "variants": options.variants,
                 "sample": options.sample, "short-bp": options.short_bp,
                 "horizons": " ".join(map(str, options.horizons)), **changes}  # fmt: skip
        words = [word for key, value in given.items() for word in (f"--{key}", *str(value).split())]
        return in_child(__file__, "--child", child, *words, threads=options.threads)

    told = {"model": "/".join(Path(options.model[0]).parts[-2:]), "threads": options.threads}
    whole = "Scoring variants with whole-contig context"
    if "speed" in options.parts:
        write("variants_speed", f"{whole}: rate", MEASURED, speed(run), **told)
    if "length" in options.parts:
        rows = length(run, options.short_bp, options.long_bp)
        write("variants_length", f"{whole}: length of the contig, forward strand", MEASURED, rows, **told)
    if "memory" in options.parts:
        write("variants_memory", f"{whole}: memory from VCF to VCF", MEASURED, memory(run, options.many), **told)
    if "horizon" in options.parts:
        found = run("horizon")
        title = f"{whole}: {found['variants']:,} variants ({found['indels']:,} indels) on {found['bases']:,} bases"
        columns = [
            "horizon_bp",
            "variants/processor s",
            "r with the longest, substitutions",
            "r with the longest, indels",
        ]
        write("variants_horizon", title, columns, found["rows"], **told)
    if "brca1" in options.parts:
        title = "BRCA1 saturation editing: AUROC of LOF against the rest, 3,893 SNVs"
        write("variants_brca1", title, ["score", "horizon_bp", "AUROC"], brca1(run, options.model))


if __name__ == "__main__":
    sys.exit(main())
