"""Do relatives that are merely read, unaligned, tell which changes matter? CFTR by 22 species, E. coli by one strain.

All SNVs of CFTR's coding sequence and splice dinucleotides, by their consequence: AUROC of stop gained, missense and
splice site against synonymous. No model has seen the region. The constants of the vote and of the tolerance were chosen
on the odd exons and are reported on the even ones, with an interval by resampling exons. Labels are consequences, not
clinical: a rule that knows the three-base phase or that most transitions are synonymous gains by that alone, so codon
position 3 stands apart. E. coli: all SNVs of 50 genes of K-12 by E. coli W as the only relative.

    python benchmarks/evidence/relatives.py --budget full      # about 10 minutes on one core
    python benchmarks/evidence/relatives.py --fit              # the constants of the tolerance, from the odd exons
"""

from __future__ import annotations

import argparse
import gzip
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from setting import COLOURS, DEMO, INK, Setting, claim, one_thread, plotting, read_setting, save_figure

from titans_dna.genome.alphabet import reverse_complement
from titans_dna.inference import vote_variants
from titans_dna.inference.alleles import Allele
from titans_dna.inference.metrics import auroc
from titans_dna.inference.vote_variants import block_votes, tolerance, vote_on_alleles, vote_score
from titans_dna.io.scores import open_scores
from titans_dna.io.sequence.fasta import open_fasta
from titans_dna.recall import RecallForm, Relatives
from titans_dna.recall.vote import BLOCK, NONE
from titans_dna.tokenizers import base_ids

CLASSES = ("stop_gained", "missense", "splice_site")
TARGETS = {"vote": (0.90, 0.84, 0.95), "tolerance": (0.92, 0.87, 0.96)}
PRIMATES = ("chimp", "baboon", "macaque", "marmoset", "galago")
SUBSETS: dict[str, tuple[str, ...] | None] = {
    "all 22": None,
    "without primates": (),
    "primates alone": PRIMATES,
    "ten near ones": (*PRIMATES, "mouse", "rat", "rabbit", "dog", "cow"),
    "five distant ones": ("elephant", "armadillo", "tenrec", "hedgehog", "monodelphis"),
    "dog, mouse and elephant": ("dog", "mouse", "elephant"),
    "mouse alone": ("mouse",),
}
CROWD = 9  # unrelated copies of the size of all relatives
RESAMPLED, GENES, DEEP_BP = 500, 50, 5_000  # an intron is deep so far from the next exon
STOPS = ("TAA", "TAG", "TGA")


@dataclass(frozen=True, kw_only=True)
class Changes:
    """SNVs of one contig, with what is known of each."""

    sequence: bytes
    alleles: list[Allele]
    kinds: np.ndarray  # consequence
    groups: np.ndarray  # exon or gene, from 1
    third: np.ndarray  # whether it is the third base of a codon

    def tell(self, scores: np.ndarray, rows: np.ndarray) -> list[float]:
        """Return the AUROC of each class against synonymous changes, of some rows; the lower a score the worse."""
        quiet = rows & (self.kinds == "synonymous")
        return [_auroc(-scores[rows & (self.kinds == kind)], -scores[quiet]) for kind in CLASSES]


def _auroc(bad: np.ndarray, good: np.ndarray) -> float:
    if not (len(bad) and len(good)):
        return float("nan")
    return float(auroc(np.concatenate([bad, good]), np.arange(len(bad) + len(good)) < len(bad)))


def mammals(data: Path) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Return the human sequence of ENm001, and the contigs of the other species with the name of each."""
    contigs: list[tuple[str, list[str]]] = []
    with gzip.open(data / "mammals/encode_ENm001.fa.gz", "rt") as file:
        for line in file:
            if line.startswith(">"):
                contigs.append((line[1:].split("|")[0], []))
            else:
                contigs[-1][1].append(line.strip())
    whole = [(name, "".join(lines).encode()) for name, lines in contigs]
    return next(bases for name, bases in whole if name == "human"), [each for each in whole if each[0] != "human"]


def remembered(contigs: Sequence[tuple[str, bytes]]) -> Relatives:
    """Return a memory of contigs, one vote for each name."""
    found = Relatives.empty(RecallForm())
    for number, (name, bases) in enumerate(contigs):
        found.read(f"{name}{number}", name, [base_ids(bases)], "")
    return found


def crowd(contigs: Sequence[tuple[str, bytes]], seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield 300 Mb in which nothing is akin, but that have the composition and the repeats of real sequence.

    Each copy of the contigs is read backwards, not complemented, and every other base of it is drawn anew.
    """
    rng = np.random.default_rng(seed)
    letters = np.frombuffer(b"ACGT", np.uint8)
    for number in range(CROWD):
        for name, bases in contigs:
            made = np.frombuffer(bases, np.uint8)[::-1].copy()
            anew = rng.random(len(made)) < 0.5
            made[anew] = letters[rng.choice(4, int(anew.sum()), p=(0.3, 0.2, 0.2, 0.3))]
            yield f"{name} crowd {number}", made.tobytes()


def cftr(data: Path, sequence: bytes) -> tuple[Changes, list[tuple[int, int]]]:
    """Return the SNVs of CFTR, and its exons (0-based, end excluded)."""
    with (data / "human/enm001_cftr_exons.bed").open() as bed:
        exons = [(int(row[1]), int(row[2])) for row in map(str.split, bed)]
    coding = [at for start, end in exons for at in range(start, end)]
    alleles, kinds, groups = [], [], []
    with gzip.open(data / "human/enm001_cftr_all_snvs.vcf.gz", "rt") as vcf:
        for line in vcf:
            if line.startswith("#"):
                continue
            _, position, _, _, alt, _, _, info = line.rstrip().split("\t")
            at = int(position) - 1
            alleles.append(Allele(len(alleles), at, at + 1, alt.encode(), at, at + 1))
            kinds.append(info.partition(";")[0].removeprefix("CSQ="))
            groups.append(min(range(len(exons)), key=lambda n: max(exons[n][0] - at, at - exons[n][1] + 1, 0)) + 1)
    first = min(allele.start for allele, kind in zip(alleles, kinds, strict=True) if kind == "start_lost")
    frame = {at: (number - coding.index(first)) % 3 for number, at in enumerate(coding)}
    third = np.array([frame.get(allele.start) == 2 for allele in alleles])
    changes = Changes(
        sequence=sequence, alleles=alleles, kinds=np.array(kinds), groups=np.array(groups), third=third
    )  # fmt: skip
    return changes, exons


def interval(changes: Changes, scores: np.ndarray, rows: np.ndarray, seed: int) -> str:
    """Return the 95% interval of each AUROC, resampling exons or genes."""
    rng, groups = np.random.default_rng(seed), np.unique(changes.groups[rows])
    member = {group: np.flatnonzero(rows & (changes.groups == group)) for group in groups}
    found = []
    for _ in range(RESAMPLED):
        drawn = np.concatenate([member[group] for group in rng.choice(groups, len(groups))])
        kinds, values = changes.kinds[drawn], scores[drawn]
        found.append([_auroc(-values[kinds == kind], -values[kinds == "synonymous"]) for kind in CLASSES])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a class that is not there
        low, high = np.nanpercentile(found, [2.5, 97.5], axis=0)
    return ", ".join(f"{a:.3f}-{b:.3f}" if a == a else "-" for a, b in zip(low, high, strict=True))


def track_rows(relatives: Relatives, changes: Changes, exons: list[tuple[int, int]]) -> list[list[Any]]:
    """Return how well the number of relatives that follow, or that agree, tells coding bases and splice sites."""
    sequence = changes.sequence
    coding = {a.start for a, kind in zip(changes.alleles, changes.kinds, strict=True) if kind != "splice_site"}
    blocks = range(exons[0][0] // BLOCK, exons[-1][1] // BLOCK + 1)
    said = np.concatenate([block_votes(relatives, sequence, block) for block in blocks])
    start, end = blocks[0] * BLOCK, blocks[0] * BLOCK + len(said)
    follow = (said != NONE).sum(1)
    agree = ((said != NONE) & (said == base_ids(sequence[start:end])[:, None])).sum(1)
    inside, deep = np.isin(np.arange(start, end), list(coding)), np.zeros(len(said), dtype=bool)
    splice = []
    for (_, before), (after, _) in pairwise(exons):
        deep[before + DEEP_BP - start : max(before, after - DEEP_BP) - start] = True
        splice += [before, before + 1, after - 2, after - 1]
    at_splice = np.isin(np.arange(start, end), splice)
    rows = []
    for name, values, good in (
        ("coding bases against deep introns, by the number that follow", follow, inside),
        ("splice dinucleotides against deep introns, by the number with the human base", agree, at_splice),
    ):
        rows.append([name, "all 22", "-", "-", "-", round(_auroc(values[good], values[deep]), 3), "-"])
    return rows


def bacterial(data: Path, seed: int) -> tuple[Changes, list[tuple[str, bytes]]]:
    """Return all SNVs of some genes of E. coli K-12, and the contigs of E. coli W."""
    with open_fasta(data / "genomes/ecoli_k12_NC_000913.3.fna.gz") as fasta:
        sequence = fasta.sequence(fasta.contigs.names[0]).upper()
    with open_fasta(data / "relatives/ecoli_W.fa.gz") as fasta:
        others = [("W", fasta.sequence(name)) for name in fasta.contigs.names]
    genes = []
    with gzip.open(data / "genomes/ecoli_k12_NC_000913.3.gff.gz", "rt") as gff:
        for line in gff:
            row = line.split("\t")
            if len(row) > 8 and row[2] == "CDS" and (int(row[4]) - int(row[3]) + 1) % 3 == 0:
                genes.append((int(row[3]) - 1, int(row[4]), row[6] == "-"))
    chosen = np.random.default_rng(seed).choice(len(genes), GENES, replace=False)
    alleles, kinds, groups, third = [], [], [], []
    for group, number in enumerate(sorted(chosen), start=1):
        for allele, kind, last in _changes_of_gene(sequence, *genes[number]):
            alleles.append(Allele(len(alleles), allele[0], allele[0] + 1, allele[1], allele[0], allele[0] + 1))
            kinds.append(kind)
            groups.append(group)
            third.append(last)
    found = Changes(
        sequence=sequence, alleles=alleles, kinds=np.array(kinds), groups=np.array(groups), third=np.array(third)
    )  # fmt: skip
    return found, others


def _changes_of_gene(
    sequence: bytes, start: int, end: int, reverse: bool
) -> Iterator[tuple[tuple[int, bytes], str, bool]]:
    """Yield the place and base of every SNV of a gene, its consequence, and whether it is in a codon's third base."""
    from Bio.Seq import Seq

    read = sequence[start:end]
    read = reverse_complement(read) if reverse else read
    for at in range(3, len(read) - 3):  # neither the start nor the stop codon
        codon = bytearray(read[at // 3 * 3 : at // 3 * 3 + 3])
        before = str(Seq(bytes(codon)).translate(table=11))
        for alt in b"ACGT".replace(read[at : at + 1], b""):
            codon[at % 3] = alt
            after = str(Seq(bytes(codon)).translate(table=11))
            kind = "synonymous" if after == before else "stop_gained" if after == "*" else "missense"
            base = bytes([alt])
            place = end - 1 - at if reverse else start + at
            yield (place, reverse_complement(base) if reverse else base), kind, at % 3 == 2


def fit(changes: Changes, counts: np.ndarray, rows: np.ndarray) -> dict[str, float]:
    """Return the constants of the tolerance: a logistic regression of synonymous changes against all others."""
    names = list(vote_variants.TOLERANCE)
    columns = np.empty((len(changes.alleles), len(names)))
    kept = dict(vote_variants.TOLERANCE)
    for number, name in enumerate(names):  # each column is what the tolerance is with that weight alone
        vote_variants.TOLERANCE.update({each: float(each == name) for each in names})
        columns[:, number] = tolerances(changes, counts)
    vote_variants.TOLERANCE.update(kept)
    x, y = columns[rows], (changes.kinds == "synonymous")[rows]
    weight = np.where(y, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    found = np.zeros(len(names))
    for _ in range(50):  # Newton's method
        p = 1 / (1 + np.exp(-x @ found))
        slope = x.T @ (weight * (y - p))
        found += np.linalg.solve((x.T * (weight * p * (1 - p))) @ x + 1e-9 * np.eye(len(names)), slope)
    return dict(zip(names, found.round(2).tolist(), strict=True))


def tolerances(changes: Changes, counts: np.ndarray) -> np.ndarray:
    """Return the tolerance of every change."""
    text = changes.sequence.upper()
    return np.array([
        tolerance(count, text[a.start - 1 : a.start], text[a.start : a.end] + a.alt, text[a.end : a.end + 1])
        for a, count in zip(changes.alleles, counts, strict=True)
    ])  # fmt: skip


def rows_of(
    name: str, relatives: str, changes: Changes, scores: np.ndarray, seed: int, split: bool = True
) -> list[Any]:
    """Return a row: AUROC on odd groups (if they chose anything) and on even ones, with an interval."""
    odd = changes.groups % 2 == 1
    even = ~odd if split else np.ones(len(odd), dtype=bool)
    chosen = ", ".join(f"{x:.3f}" if x == x else "-" for x in changes.tell(scores, odd)) if split else "-"
    told = [round(x, 3) if x == x else "-" for x in changes.tell(scores, even)]
    return [name, relatives, chosen, *told, interval(changes, scores, even, seed)]


def brca1_row(data: Path) -> list[Any]:
    """Return what the tolerance tells where no relative is at hand: BRCA1 by measured function, class by class."""
    names = {"missense": "Missense", "splice_site": "Canonical_splice"}
    scores: dict[str, dict[str, list[float]]] = {kind: {"LOF": [], "FUNC": []} for kind in names}
    with open_fasta(data / "human/hg19_brca1_region.fa") as fasta:
        text = fasta.sequence(fasta.contigs.names[0]).upper()
    with (data / "human/hg19_brca1_sge.vcf").open() as vcf:
        for line in vcf:
            if line.startswith("#"):
                continue
            _, position, _, ref, alt, _, _, info = line.rstrip().split("\t")
            told, at = dict(pair.split("=") for pair in info.split(";")), int(position) - 1
            for kind, name in names.items():
                if told["CSQ_CLASS"] == name and told["CLASS"] in scores[kind]:
                    change = tolerance(np.zeros(3), text[at - 1 : at], (ref + alt).encode(), text[at + 1 : at + 2])
                    scores[kind][told["CLASS"]].append(change)
    found = [round(_auroc(-np.array(x["LOF"]), -np.array(x["FUNC"])), 3) for x in scores.values()]
    return ["tolerance, BRCA1: loss of function against functional", "none", "-", "-", *found, "-"]


def measure(setting: Setting, scored: dict[str, Path]) -> tuple[list[list[Any]], list[dict[str, str]]]:
    """Return the rows and the claims of the full budget."""
    human, others = mammals(setting.data)
    changes, exons = cftr(setting.data, human)
    rows: list[list[Any]] = []
    claims = []
    for name, chosen in SUBSETS.items():
        left = [c for c in others if c[0] not in PRIMATES] if chosen == () else others
        relatives = remembered([c for c in left if not chosen or c[0] in chosen])
        found = vote_on_alleles(relatives, human, changes.alleles)
        rules = {"vote": vote_score(found[:, :3]), "tolerance": found[:, 3]}
        for rule, scores in rules.items():
            rows.append(rows_of(rule, name, changes, scores, setting.seed))
            if chosen is None:
                told, target = rows[-1][3:6], TARGETS[rule]
                claims.append(claim(
                    f"{rule} of 22 relatives, unaligned: stop gained, missense, splice site against synonymous",
                    "at least " + ", ".join(f"{x:.2f}" for x in target), ", ".join(f"{x:.3f}" for x in told),
                    all(a >= b for a, b in zip(told, target, strict=True)),
                ))  # fmt: skip
        if chosen is None:
            apart = Changes(**{**vars(changes), "kinds": np.where(changes.third, changes.kinds, "left out")})
            rows += [rows_of(f"{rule}, codon position 3", name, apart, s, setting.seed) for rule, s in rules.items()]
            tracks = track_rows(relatives, changes, exons)
            rows += tracks
            claims += [claim(row[0], "at least 0.98", f"{row[5]:.3f}", row[5] >= 0.98) for row in tracks]
    crowded = remembered(others)
    for number, (_, bases) in enumerate(crowd(others, setting.seed)):
        crowded.read(f"crowd{number}", "crowd", [base_ids(bases)], "")
    found = vote_on_alleles(crowded, human, changes.alleles)
    rows.append(rows_of("vote", "all 22 and 300 Mb of strangers", changes, vote_score(found[:, :3]), setting.seed))
    del crowded
    for name, path in scored.items():
        llr = open_scores(path).to_pandas()["llr"].to_numpy()
        rows.append(rows_of("ln P(ALT) - ln P(REF)", name, changes, llr, setting.seed))
    bacteria, strain = bacterial(setting.data, setting.seed)
    found = vote_on_alleles(remembered(strain), bacteria.sequence, bacteria.alleles)
    for rule, scores in (("vote", vote_score(found[:, :3])), ("tolerance", found[:, 3])):
        rows.append(
            rows_of(f"{rule}, {GENES} genes of E. coli K-12", "E. coli W", bacteria, scores, setting.seed, False)
        )
    rows.append(brca1_row(setting.data))
    return rows, claims


def small(setting: Setting) -> list[list[Any]]:
    """Return a row of the demo genome: a mutated copy of a contig is its only relative."""
    rng = np.random.default_rng(setting.seed)
    with open_fasta(DEMO) as fasta:
        sequence = fasta.sequence(fasta.contigs.names[0])[:20_000].upper()
    ids = base_ids(sequence)
    fixed = rng.random(len(ids)) < 0.5  # these places never change
    other = np.where(fixed | (rng.random(len(ids)) > 0.3), ids, rng.integers(0, 4, len(ids)))
    relatives = remembered([("relative", np.frombuffer(b"ACGT", np.uint8)[np.minimum(other, 3)].tobytes())])
    places = rng.choice(np.arange(100, 19_900), 600, replace=False)
    alleles = [
        Allele(n, at, at + 1, b"ACGT"[(ids[at] + 1) % 4 : (ids[at] + 1) % 4 + 1], at, at + 1)
        for n, at in enumerate(places.tolist())
    ]
    kinds = np.where(fixed[places], "missense", "synonymous")
    changes = Changes(
        sequence=sequence, alleles=alleles, kinds=kinds, groups=1 + places % 20, third=np.zeros(len(places), bool)
    )  # fmt: skip
    found = vote_on_alleles(relatives, sequence, alleles)
    return [rows_of("vote", "a mutated copy", changes, vote_score(found[:, :3]), setting.seed, False)]


def draw(rows: list[list[Any]], path: Path) -> None:
    """Draw the AUROC of each class by the relatives that were read."""
    plt = plotting()
    figure, axes = plt.subplots(1, len(CLASSES), figsize=(9, 3), sharey=True)
    told = {(row[0], row[1]): row[3:6] for row in rows}
    names = [name for name in SUBSETS if ("vote", name) in told]
    for number, (axis, kind) in enumerate(zip(axes, CLASSES, strict=True)):
        for rule, colour, shift in (("vote", "blue", 0.2), ("tolerance", "orange", -0.2)):
            values = [told[rule, name][number] for name in names]
            axis.barh(np.arange(len(names)) + shift, values, 0.38, color=COLOURS[colour], label=rule)
        axis.axvline(0.5, color=INK, linewidth=0.8)
        axis.set(xlim=(0.4, 1), xlabel=f"AUROC, {kind.replace('_', ' ')}")
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    axes[-1].legend(loc="lower left", bbox_to_anchor=(0, 1))
    axes[0].set_title("CFTR's even exons, by the relatives that were read", loc="left")
    figure.tight_layout()
    save_figure(figure, path)


def _scored(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--with-relatives", type=Path, help="the SNVs scored by `score-variants --relatives`")
    parser.add_argument("--without", type=Path, help="the same without relatives")
    parser.add_argument("--fit", action="store_true", help="print the constants of the tolerance and end")


def main() -> None:
    """Measure, and write the table."""
    options = read_setting(__doc__, _scored)
    setting: Setting = options.setting
    one_thread()
    if options.fit:
        human, others = mammals(setting.data)
        changes, _ = cftr(setting.data, human)
        counts = vote_on_alleles(remembered(others), human, changes.alleles)[:, :3]
        print(fit(changes, counts, changes.groups % 2 == 1))
        return
    scored = {
        "default model, 22 relatives in its copy memory": options.with_relatives,
        "default model, none": options.without,
    }
    if setting.full:
        rows, claims = measure(setting, {name: path for name, path in scored.items() if path})
    else:
        rows, claims = small(setting), []
    if setting.full:
        draw(rows, setting.results / "evidence_relatives.svg")
    columns = ["score", "relatives", "odd exons (chosen on)", *CLASSES, "95% by exon or gene"]
    setting.write(
        "relatives", "Relatives that are merely read tell which changes matter", columns, rows, claims,
        chosen_on="odd exons of CFTR; the columns of classes are even exons (all genes of E. coli)",
        labels="consequence by the standard code; AUROC against synonymous changes",
    )  # fmt: skip


if __name__ == "__main__":
    main()
