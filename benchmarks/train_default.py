"""Train the model that ships as ``--model default``, from the genomes beside the project; write its card.

    python benchmarks/train_default.py --output model/            # one process, 2 threads; goes on where it stopped
    python benchmarks/train_default.py --output model/ --device cuda
    python benchmarks/train_default.py --output model/ --install  # when it is done: make it the package's default

The test set (chr20, the BRCA1 region, human ENm002, all species of ENm001, yeast chromosome XII, S. pombe chromosome
III, and everything in relatives/) is in no file that is read, or excluded by name. Bits per base in training are of
parts of the training genomes that are held out.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import planted
import record

DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
# FASTA and sampling weight per base: human chr22 more often, for most of the mammals' regions are orthologs
GENOMES = {
    "mammals/encode_ENm002.fa.gz": 1.2,
    "human/hg19_chr22_1-22000000.fa.gz": 4.0,
    "genomes/yeast_R64-1-1.fa.gz": 1.2,
    "genomes/pombe_ASM294v2.fa.gz": 1.2,
    "genomes/ecoli_k12_NC_000913.3.fna.gz": 1.5,
}
EXCLUDED = ("yeast_R64-1-1.fa.gz:XII", "pombe_ASM294v2.fa.gz:III", "ENm002.fa:human_1")
SHIPPED = ("config.json", "tokenizer.json", "model.safetensors", "training.json", "self_test.json", "README.md")
HELD_OUT = ("yeast_R64-1-1.fa.gz:I", "ENm002.fa:armadillo_1", "pombe_ASM294v2.fa.gz:MTR")


PLANTED, PLANTED_BASES, PLANTED_WEIGHT, PLANTED_SEED = "planted.fa", 12_000_000, 0.6, 1


def write_planted(paths: dict[str, Path], place: Path) -> None:
    """Write a sequence of training DNA in which copies are planted."""
    from titans_dna.io.sequence.fasta import open_fasta
    from titans_dna.tokenizers import NucleotideTokenizer

    tokenizer, parts = NucleotideTokenizer(), []
    for path in paths.values():
        with open_fasta(path) as source:
            names = [name for name in source.contigs.names if f"{path.name}:{name}" not in (*EXCLUDED, *HELD_OUT)]
            parts += [tokenizer.encode(source.sequence(name)) for name in names]
    ids = planted.plant(np.random.default_rng(PLANTED_SEED), planted.known(parts), PLANTED_BASES)
    lines = np.frombuffer(b"ACGT", dtype="S1")[ids].tobytes()
    partial = place.with_suffix(".partial")
    partial.write_bytes(b">planted\n" + lines + b"\n")
    partial.replace(place)


def prepare(data: Path, folder: Path) -> dict[str, Path]:
    """Return the FASTA of every genome; the mammals' are copied with one name per contig, for theirs repeat."""
    paths = {}
    for name in GENOMES:
        paths[name] = data / name
        if not name.startswith("mammals/"):
            continue
        folder.mkdir(parents=True, exist_ok=True)
        paths[name] = folder / name.removeprefix("mammals/encode_").removesuffix(".gz")
        if paths[name].exists():
            continue
        seen: dict[str, int] = {}
        partial = paths[name].with_suffix(".partial")
        with gzip.open(data / name, "rt") as source, partial.open("w") as copy:
            for line in source:
                if line.startswith(">"):
                    species = line[1:].split("|")[0]
                    seen[species] = seen.get(species, 0) + 1
                    line = f">{species}_{seen[species]}\n"
                copy.write(line)
        partial.replace(paths[name])
    if not (folder / PLANTED).exists():
        write_planted(paths, folder / PLANTED)
    return paths


def backbone(arguments: argparse.Namespace):
    """Return the default size, or a variant of it to compare the default with."""
    from titans_dna.model.config import MEMORY_BLOCKS, named_config

    config = named_config("default")
    if not arguments.block:
        return config
    layers = config.memory_layers if arguments.block in MEMORY_BLOCKS else ()
    return replace(config, block=arguments.block, memory_layers=layers)


def settings(data: Path, arguments: argparse.Namespace):
    from titans_dna.training.config import TrainingConfig
    from titans_dna.training.data import Source, Split
    from titans_dna.training.run import RunSettings

    paths = prepare(data, arguments.output / "data")
    return RunSettings(
        sources=(
            *(Source(path=paths[name], weight=weight) for name, weight in GENOMES.items()),
            Source(path=arguments.output / "data" / PLANTED, weight=PLANTED_WEIGHT),
        ),
        backbone=backbone(arguments),
        training=TrainingConfig(
            steps=arguments.steps, lanes=16, window_tokens=arguments.window_tokens, restart=arguments.restart,
            random_share=0.25, learning_rate=arguments.learning_rate, soft_mask_weight=1.0,
            precision=arguments.precision, evaluate_every=250, evaluation_bases=60_000,
            save_every=100, seed=arguments.seed,
        ),
        split=Split(holdout=HELD_OUT, exclude=EXCLUDED, seed=arguments.seed),
        size="default", device=arguments.device,
    )  # fmt: skip


def card(output: Path, data: Path) -> str:
    training = json.loads((output / "training.json").read_text())
    size = (output / "model.safetensors").stat().st_size
    sums = [f"| {name} | `{hashlib.sha256((data / name).read_bytes()).hexdigest()}` |" for name in GENOMES]
    about = record.machine()
    positions = [f"| {r['start']}-{r['end']} | {r['bits_per_base']:.4f} |" for r in training["bits_by_position"]]
    return "\n".join([
        "# The default model of titans-dna", "",
        "A small Titans model beside counted words and a copy memory, one token per base. It tells how surprising a",
        "base is after all bases before it, and follows what it read before, however far back. It is small and saw few",
        "genomes: for human variants expect scores close to chance where conservation over many species decides.",
        "`evaluate` prints Markov models beside its bits per base.", "",
        f"- parameters: {training['parameters']:,}, and {size / 1e6:.1f} MB in safetensors with the counted words",
        f"- training: {training['bases']:,} bases, {training['steps']} steps, {training['skipped_steps']} skipped;",
        f"  {training['seconds'] / 3600:.2f} hours of steps on one thread or two, beside other work",
        f"- hardware: {about['cpu']}, GPU: {about['gpu']}; torch {about['torch']}, python {about['python']}",
        f"- command: `{training['command']}` at commit {training['commit']}; seed {training['seed']}",
        "- never seen: human chr20, the BRCA1 region, human ENm002, ENm001 of all species, yeast chromosome XII,",
        "  S. pombe chromosome III, the relatives;",
        "  but relatives of human (chimpanzee, baboon and others) were at ENm002, so figures on that one are not",
        "  those of a genome without relatives",
        f"- held out while training: {', '.join(HELD_OUT)}",
        f"- and {PLANTED_BASES / 1e6:.0f} Mb made of the training genomes with copies planted in them, for words that",
        "  were read once are rare in genomes (`benchmarks/planted.py`)", "",
        "| training data (sources in the project's data notes) | SHA-256 |", "|---|---|", *sums, "",
        *settings_told(output), *earned(output),
        "Bits per base on what was held out, by the number of bases read before in the same window:", "",
        "| bases before | bits per base |", "|---|---|", *positions, "", *gate_table(training),
    ])  # fmt: skip


def gate_table(training: dict) -> list[str]:
    """Return the lines of the card that say what the memories' gates do on held-out sequence; none if not recorded."""
    if not training.get("gates"):
        return []
    rows = [
        f"| {memory['layer']} | {memory['memory']} | {memory['writes']:.1%} | {memory['mean_step']:.3g} "
        f"| {memory['step_at_0']:.1%} | {memory['step_at_1']:.1%} | {memory['mean_momentum']:.3g} "
        f"| {memory['mean_forgetting']:.3g} |"
        for memory in training["gates"]
    ]
    return [
        "What the gates of the memories do on what was held out (4,096 bases at most): the share of bases that are",
        "written, and the mean step, momentum and forgetting.", "",
        "| layer | memory | bases written | step | steps at 0 | steps at 1 | momentum | forgetting |",
        "|---|---|---|---|---|---|---|---|", *rows, "",
    ]  # fmt: skip


def settings_told(output: Path) -> list[str]:
    """Say the settings that are not those of every backbone."""
    backbone = json.loads((output / "config.json").read_text())["backbone"]
    recall = backbone["recall"]
    words = ", ".join(f"{word} (one in {n})" for word, n in zip(recall["words"], recall["sample_every"], strict=True))
    return [
        f"Settings: {backbone['layers']} layers of width {backbone['width']}, window attention of "
        f"{backbone['window_tokens']} tokens in all, {backbone['block']} in layer "
        f"{' and '.join(map(str, backbone['memory_layers']))}, whose memory begins anew every "
        f"{backbone['reset_tokens']:,} bases; copy memory: words {words}, {recall['places']} places,",
        f"{recall['matches']} entries of an address tried, {recall['accepted_hits']} of 32 bases to be accepted. "
        "Chosen on chr22:20-21 Mb and yeast IV, both of the",
        "training set; the first forms were compared on chr20 too, and the leading run (24) was first tried on",
        "needles, chr20 and yeast XII; which of two leading places is heard was chosen on needles (seed 1).",
        "",
    ]  # fmt: skip


def earned(output: Path) -> list[str]:
    """Say what each memory earns on sequence that was never seen, where that was measured with these weights."""
    path = Path(__file__).parent / "results" / "evidence_recall_bits.json"
    found = json.loads(path.read_text()) if path.is_file() else {"model": "", "rows": []}
    if hashlib.sha256((output / "model.safetensors").read_bytes()).hexdigest()[:12] not in found["model"]:
        return []
    columns = ("carried", "reset", "no copies", "frozen")
    at = [found["columns"].index(name) for name in columns]
    rows = [f"| {row[0]} | {' | '.join(f'{row[i]:.4f}' for i in at)} |" for row in found["rows"]]
    head = "| sequence | both memories, carried | both reset every 1,024 | no copies | deep memory never written |"
    return ["What each memory earns, in bits per base:", "", head, "|---|---|---|---|---|", *rows, ""]


def keep_self_test(output: Path) -> float:
    """Read a piece of the demo genome with the finished model; keep it and the loss beside the weights."""
    from titans_dna.io.sequence.fasta import open_fasta
    from titans_dna.training.self_test import write_self_test

    with open_fasta(Path(__file__).resolve().parents[1] / "data" / "demo.fa") as demo:
        contig = demo.contigs.names[0]
        return write_self_test(output, demo.fetch(contig, 0, 4096).decode(), f"data/demo.fa {contig}:1-4096")


def forget_places(output: Path, commit: str) -> None:
    """Leave in the record of the training which files were read, and by what code, not where they lie."""
    place = output / "training.json"
    found = json.loads(place.read_text())
    names = {name.removeprefix("mammals/encode_").removesuffix(".gz"): name for name in GENOMES if "mammals/" in name}
    names |= {Path(name).name: name for name in GENOMES if "mammals/" not in name}
    found["fasta"] = [names.get(Path(path).name, PLANTED) for path in found["fasta"]]
    found["fasta_md5"] = {names.get(Path(path).name, PLANTED): md5 for path, md5 in found["fasta_md5"].items()}
    found["command"] = found["command"].replace("titans-dna", "python benchmarks/train_default.py", 1)
    found["commit"] = commit
    place.write_text(json.dumps(found, indent=2) + "\n")


def install(output: Path) -> None:
    """Make a finished model the default one of this checkout."""
    from titans_dna.checkpoints import DEFAULT, FOLDER

    found = keep_self_test(output)
    (output / "README.md").write_text(card(output, DATA.resolve()))
    target = FOLDER / DEFAULT
    target.mkdir(parents=True, exist_ok=True)
    for name in SHIPPED:
        shutil.copyfile(output / name, target / name)
    total = sum((target / name).stat().st_size for name in SHIPPED)
    print(f"{target}: {total / 1e6:.1f} MB; self-test {found:.4f} bits per base")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4200)
    parser.add_argument("--window-tokens", type=int, default=1024)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--restart", type=float, default=0.002, help="chance that a stream ends after a window")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--block", help="another block than the default's, to compare it with; not to be installed")
    parser.add_argument("--install", action="store_true", help="copy the finished model into the package")
    arguments = parser.parse_args()
    if arguments.install:
        install(arguments.output)
        return
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import torch

    from titans_dna.cli.terminal import progress_bar
    from titans_dna.training.checkpoints import checkpoints
    from titans_dna.training.run import REQUEUE, pretrain_model

    torch.set_num_threads(arguments.threads)
    commit, run = record.machine()["commit"], settings(arguments.data.resolve(), arguments)
    with progress_bar("training", run.training.steps * run.training.lanes * run.training.window_tokens) as advance:
        resume = bool(checkpoints(arguments.output))
        result = pretrain_model(arguments.output, run, resume=resume, overwrite=not resume, advance=advance)
    print(result.summary)
    if not result.finished:
        raise SystemExit(REQUEUE)
    keep_self_test(arguments.output)
    forget_places(arguments.output, commit)
    text = card(arguments.output, arguments.data.resolve())
    (arguments.output / "README.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
