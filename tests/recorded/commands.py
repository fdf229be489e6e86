"""The commands whose outputs are recorded, and the small inputs that they run on."""

from __future__ import annotations

import csv
import os
import random
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from toy import CONFIG

from titans_dna.cli import main

PROJECT = Path(__file__).resolve().parents[2]
PLAIN = PROJECT / "tests/model/before_recall"  # a trained model of before the copy memory, which lies in git
PIECES = {"chrA": (13_600, 15_200), "chrC": (144_560, 146_360)}  # of the demo genome, 0-based; chrC begins in a repeat
GAP = (900, 940)  # of the piece of chrA, written as N


@dataclass(frozen=True)
class Command:
    """One command: what it writes is recorded under its name."""

    words: str  # what stands behind `titans-dna`; {model} is the folder of the model
    outputs: tuple[str, ...] = ()  # files to record; none for what it prints
    needs: str = ""  # package without which it cannot run


GENOME, SEVERAL = "--fasta genome.fa", "--device cpu --model {model} --fasta genome.fa"
KIN = "--relatives near.fa --relatives far.fa"


def _scored(verb: str, words: str, *outputs: str, needs: str = "") -> Command:
    return Command(f"{verb} {SEVERAL} {words} -o {outputs[0]}", outputs, needs)


_BOTH = (
    _scored("score-variants", "--vcf variants.vcf", "v.vcf"),
    _scored("score-variants", "--vcf variants.vcf --on-mismatch swap --horizon 32", "v.tsv"),
    _scored("score-variants", "--vcf variants.vcf --background variants.vcf --horizon 16 --shuffles 1", "ranked.tsv"),
    _scored("score-variants", "--vcf variants.vcf --horizon 16", "v.vcf.gz"),
    _scored("score-variants", "--variant chrA:101:A:C --variant oops --horizon 16", "v.parquet", needs="pyarrow"),
    _scored("score-variants", "--vcf variants.vcf --horizon 16", "v.h5"),
    _scored("score-variants", "--vcf variants.vcf --horizon 16", "v.h5ad", needs="anndata"),
    _scored("score-regions", "--bed regions.bed --track surprise.bw", "r.tsv", "surprise.bw"),
    _scored("score-regions", "--bed regions.bed --tracks tracks.h5", "r.h5", "tracks.h5"),
    _scored("score-regions", "--tracks tracks.tsv.gz --region chrC:1-300", "one.tsv", "tracks.tsv.gz"),
    _scored("embed", "--bed regions.bed", "e.h5"),
    _scored("embed", "--bed regions.bed --pool bins:3 --layer 0 --layer final --strand both --dtype float16", "b.h5"),
    _scored("embed", "--region chrC:1-30 --pool none --context region", "none.h5"),
    _scored("embed", "--window-bp 400 --stride-bp 300 --pool max", "windows.h5"),
    Command("convert e.h5 e.npy", ("e.npy",)),
    Command("convert e.h5 e.parquet", ("e.parquet",), "pyarrow"),
    _scored("mutagenesis", "--region chrC:1001-1012 --horizon 32", "m.h5"),
    _scored("mutagenesis", "--all-snvs --contig chrC", "snvs.tsv.gz"),
    _scored("evaluate", "--contig chrC --window-tokens 512", "evaluation.json"),
    Command("statistics --sample s --variants v.vcf --truth-field TRUTH --regions r.tsv --track surprise.bw "
            "--embeddings e.h5 -o statistics.json", ("statistics.json",)),
    Command("report --variants v.vcf --truth-field TRUTH --regions r.tsv --track surprise.bw --embeddings e.h5 "
            "--evaluation evaluation.json --sample statistics.json -o report.html", ("report.html",)),
    *(_scored("score-variants", f"--vcf variants.vcf --horizon 16 --shard {n}/2", f"part{n}.tsv") for n in (1, 2)),
    *(_scored("score-regions", f"--bed regions.bed --shard {n}/2 --track part{n}.surprise.bw", f"rpart{n}.tsv")
      for n in (1, 2)),
    *(_scored("embed", f"--bed regions.bed --shard {n}/2", f"part{n}.h5") for n in (1, 2)),
    Command("merge part2.tsv part1.tsv -o merged.tsv", ("merged.tsv",)),
    Command("merge rpart1.tsv rpart2.tsv -o rmerged.tsv", ("rmerged.tsv",)),
    Command("merge part1.surprise.bw part2.surprise.bw -o merged.bw", ("merged.bw",)),
    Command("merge part1.h5 part2.h5 -o merged.h5", ("merged.h5",)),
    Command("info {model}"),
    Command("info v.vcf"),
    Command("info e.h5"),
    Command("info evaluation.json"),
)  # fmt: skip

_PLAIN = (
    _scored("score-regions", "--reads demo.bam --reads-as sequences --region chrC:100101-100140",
            "reads.tsv"),
    Command(f"tokenize --tokenizer kmer:4 {GENOME} --bed regions.bed -o tokens.tsv", ("tokens.tsv",)),
    Command(f"train-tokenizer {GENOME} --vocabulary-size 40 --output words.json", ("words.json",)),
    Command("finetune --device cpu --model {model} --data classes.csv --mode frozen --epochs 2 --kmer-bases 2 --seed 3 "
            "-o classifier", ("classifier/finetune.json",)),
    Command("predict --device cpu --model classifier --data classes.csv -o classes.tsv", ("classes.tsv",)),
    Command(f"pretrain --device cpu {GENOME} --holdout chrC --config nano --steps 3 --lanes 2 --window-tokens 64 "
            "--evaluate-every 2 --seed 4 --output trained",
            ("trained/config.json", "trained/log.csv", "trained/training.json")),
    Command("info genome.fa"),
    Command("info tokens.tsv"),
    Command("info classes.tsv"),
    Command("report classes.tsv -o classes.html", ("classes.html",)),
)  # fmt: skip

_RECALLING = (
    Command("remember --model {model} --fasta near.fa --fasta far.fa -o kin.tdm"),
    Command("info kin.tdm"),
    _scored("score-variants", f"--vcf variants.vcf {KIN} --horizon 32", "kin.vcf"),
    _scored("score-variants", "--vcf variants.vcf --memory kin.tdm --context window:128 --workers 1", "memory.tsv"),
    _scored("score-regions", f"--bed regions.bed {KIN} --copies copies.bedpe", "kin.tsv", "copies.bedpe"),
    Command("info copies.bedpe"),
    Command("report copies.bedpe -o copies.html", ("copies.html",)),
    _scored("score-regions", f"--bed regions.bed {KIN} --context window:256 --workers 1 --tracks votes.h5",
            "window.tsv", "votes.h5"),
    _scored("embed", f"--bed regions.bed {KIN}", "kin.h5"),
)  # fmt: skip

COMMANDS = {"plain": (*_BOTH, *_PLAIN), "recalling": (*_BOTH, *_RECALLING)}


def write_inputs(folder: Path) -> None:
    """Write a genome of pieces of the demo genome, its relatives, variants, regions and labelled sequences."""
    text = {name: _piece(name) for name in PIECES}
    text["chrA"] = text["chrA"][: GAP[0]] + "N" * (GAP[1] - GAP[0]) + text["chrA"][GAP[1] :]
    _write_fasta(folder / "genome.fa", text)
    chance = random.Random(7)
    for name, one_in in (("near", 40), ("far", 10)):
        changed = {f"{name}_{key}": _mutated(piece, one_in, chance) for key, piece in text.items()}
        _write_fasta(folder / f"{name}.fa", changed)
    (folder / "variants.vcf").write_text("\n".join([*_variants(text)]) + "\n")
    regions = ["chrA\t100\t260\tone\t0\t-", "chrC\t0\t1800\twhole", "A\t880\t960\tgap", "chrA\t900\t940\tall_n",
               "chrZ\t5\t9\tnowhere", "chrC\t1700\t1900\tbeyond", "chrC\t30\t31\tbase"]  # fmt: skip
    shutil.copytree(PLAIN, folder / "plain")
    for name in ("demo.bam", "demo.bam.bai"):
        shutil.copy(PROJECT / "data" / name, folder)
    (folder / "regions.bed").write_text("\n".join(regions) + "\n")
    rows = [f"s{at},{text['chrC'][at : at + 40]},{'first' if at < 400 else 'later'}" for at in range(0, 800, 25)]
    (folder / "classes.csv").write_text("\n".join(["name,sequence,label", *rows]) + "\n")


def write_recalling_model(folder: Path) -> None:
    """Save a model of a seed, with a copy memory that it believes."""
    from titans_dna.model.backbone import Backbone
    from titans_dna.model.checkpoint import save_checkpoint
    from titans_dna.recall import RecallForm
    from titans_dna.tokenizers import NucleotideTokenizer

    form = RecallForm(words=("1" * 10,), sample_every=(1,), index_bits=12, places=4, accepted_hits=16)
    with torch.random.fork_rng():
        torch.manual_seed(11)
        backbone = Backbone(replace(CONFIG, recall=form))
        torch.nn.init.normal_(backbone.head.weight, std=0.5)
    assert backbone.trust is not None
    with torch.no_grad():
        backbone.trust.start.fill_(1.0)
    save_checkpoint(folder, backbone, NucleotideTokenizer().to_json())


def run_command(command: Command, model: str) -> str:
    """Run a command in the present folder, and return what it printed on standard output.

    Raises
    ------
    RuntimeError
        If a command fails.
    """
    words = shlex.split(command.words.replace("{model}", model))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["titans-dna", *words])  # which the outputs quote
        said = CliRunner().invoke(main, words)
    if said.exit_code:
        raise RuntimeError(f"titans-dna {command.words}: {said.output}") from said.exception
    return said.stdout


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder, so that no output names it, and on one core, which is faster where others are busy."""
    before, threads = Path.cwd(), torch.get_num_threads()
    os.chdir(folder)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        os.chdir(before)


def _piece(contig: str) -> str:
    start, end = PIECES[contig]
    text = (PROJECT / "data/demo.fa").read_text()
    body = text.split(f">{contig}\n")[1].split(">")[0].replace("\n", "")
    return body[start:end]


def _mutated(text: str, one_in: int, chance: random.Random) -> str:
    return "".join(chance.choice("ACGT") if chance.randrange(one_in) == 0 else base for base in text)


def _write_fasta(path: Path, contigs: dict[str, str]) -> None:
    path.write_text("".join(f">{name}\n{text}\n" for name, text in contigs.items()))


def _variants(text: dict[str, str]) -> Iterator[str]:
    """Yield the lines of a VCF: the demo's variants, an SNV every 150 bases, and those without a score."""
    a = text["chrA"].upper()
    made = [["chrA", at + 1, f"snv{at}", a[at], "ACGT"["ACGT".index(a[at]) - 1]] for at in range(0, 900, 150)]
    made += [
        ["chrA", 400, "symbolic", a[399], "<DEL>"],
        ["chrA", 500, "mismatch", "ACGT"["ACGT".index(a[499]) - 1], a[499]],
        ["chrA", 600, "insertion", a[599], a[599] + "GATTACA"],
        ["chrA", 905, "n", "N", "C"],
        ["chrA", 99_999, "outside", "A", "C"],
        ["chrZ", 5, "unknown", "A", "C"],
    ]
    lines = [f"{contig}\t{at}\t{name}\t{ref}\t{alt}\t.\t.\t." for contig, at, name, ref, alt in made]
    with (PROJECT / "data/demo.vcf").open() as file:
        for row in csv.reader((line for line in file if line[0] != "#"), delimiter="\t"):
            start, end = PIECES.get(row[0], (0, 0))
            if start < int(row[1]) <= end:
                lines.append("\t".join([row[0], str(int(row[1]) - start), *row[2:8]]))
    lines.sort(key=lambda line: (line.split("\t")[0], int(line.split("\t")[1])))
    yield "##fileformat=VCFv4.3"
    yield '##INFO=<ID=TRUTH,Number=1,Type=String,Description="Class">'
    yield '##INFO=<ID=SITE,Number=1,Type=String,Description="Site">'
    yield "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
    yield from lines
