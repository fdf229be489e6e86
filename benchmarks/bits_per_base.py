"""Bits per base on held-out sequence: the default model, Markov models of two kinds, and compressors.

    python benchmarks/bits_per_base.py                    # everything: about 20 minutes on two quiet cores
    python benchmarks/bits_per_base.py --bases 100000     # the first bases of each sequence
    python benchmarks/bits_per_base.py --only-model       # a new model, beside the figures that the table has

*Trained* Markov models count both strands of the training set of the default model; *adaptive* ones count the sequence
itself, up to the base that they predict, and its inverted repeats. All take the best of four pseudo-counts on the very
sequence, which favours them. GeCo3 is run where it is installed.
"""

from __future__ import annotations

import argparse
import json
import lzma
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import record
from adaptive import adaptive_bits
from train_default import DATA, EXCLUDED, GENOMES, HELD_OUT, prepare

from titans_dna.inference.model import load_model
from titans_dna.loading.genomes import open_genome
from titans_dna.training.evaluation import carried_bits, reset_bits
from titans_dna.training.markov import MarkovModel

TESTED = {
    "human chr20": ("human/hg19_chr20_1Mb.fa.gz", None),
    "human BRCA1": ("human/hg19_brca1_region.fa", None),
    "human ENm002": ("mammals/encode_ENm002.fa.gz", "human_1"),
    "yeast XII": ("genomes/yeast_R64-1-1.fa.gz", "XII"),
    "S. pombe III": ("genomes/pombe_ASM294v2.fa.gz", "III"),
    "phage lambda": ("genomes/lambda_NC_001416.1.fa", None),
}
COLUMNS = ["sequence", "bases", "model carried", "model reset", "trained order 2", "trained order 12", "best trained",
           "its order", "best adaptive", "its order", "below both", "xz", "GeCo3"]  # fmt: skip
GECO_PUBLISHED = "1.880 on E. coli 536 (GeCo3 paper's level; not run here)"


def sequences(data: Path, paths: dict[str, Path], bases: int | None) -> dict[str, np.ndarray]:
    """Return the ids of every tested sequence."""
    found = {}
    for name, (file, contig) in TESTED.items():
        genome = open_genome(paths.get(file, data / file))
        found[name] = genome.ids_of(contig or genome.contigs.names[0])[:bases]
    return found


def training_set(paths: dict[str, Path]) -> list[np.ndarray]:
    """Return what the default model learned: everything but what is excluded or held out."""
    aside, learned = {*EXCLUDED, *HELD_OUT}, []
    for path in paths.values():
        genome = open_genome(path)
        learned += [genome.ids_of(c) for c in genome.contigs.names if f"{path.name}:{c}" not in aside]
    return learned


def text_of(ids: np.ndarray) -> bytes:
    return np.frombuffer(b"ACGT", np.uint8)[ids[ids < 4]].tobytes()


def xz_bits(ids: np.ndarray) -> float:
    text = text_of(ids)
    return 8 * len(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)) / len(text)


def geco_bits(ids: np.ndarray) -> float | str:
    program = shutil.which("GeCo3") or shutil.which("geco3")
    if not program:
        return "not installed"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sequence"
        path.write_bytes(text_of(ids))
        subprocess.run([program, "-l", "9", str(path)], check=True, capture_output=True)
        return 8 * path.with_name("sequence.co").stat().st_size / int((ids < 4).sum())


def measured(tested: dict[str, np.ndarray], learned: list[np.ndarray], orders: list[int]) -> dict[str, list]:
    """Return, for every sequence, the bits of Markov models of both kinds and of compressors."""
    trained = {}
    for order in orders:
        markov = MarkovModel(order, learned)
        trained[order] = {name: markov.bits_per_base([ids]) for name, ids in tested.items()}
        print("order", order, trained[order], flush=True)
    found = {}
    for name, ids in tested.items():
        adaptive = {order: adaptive_bits(ids, order) for order in orders}
        best, own = min(orders, key=lambda k: trained[k][name]), min(orders, key=lambda k: adaptive[k])
        found[name] = [trained[k][name] if k in trained else "-" for k in (2, 12)]
        found[name] += [trained[best][name], best, adaptive[own], own, xz_bits(ids), geco_bits(ids)]
    return found


def kept(rows: dict[str, list]) -> tuple[str, dict[str, list]]:
    """Return the commit at which all but the model was measured, and those figures of the table that there is."""
    table = json.loads((record.RESULTS / "bits_per_base.json").read_text())
    found = {row[0]: row for row in table["rows"]}
    for name, row in rows.items():
        if name not in found or found[name][1] != row[1]:
            raise SystemExit(f"the table has no figures for {row[1]:,} bases of {name}; leave out --only-model")
    place = COLUMNS.index("below both")
    before = table.get("all_but_the_model", "commit " + table["machine"]["commit"]).removeprefix("commit ")
    return before, {name: [*found[name][4:place], *found[name][place + 1 :]] for name in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="default")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--bases", type=int, help="of each sequence, from its start")
    parser.add_argument("--window-tokens", type=int, default=1024, help="of the reading with resets")
    parser.add_argument("--orders", type=int, nargs="+", default=list(range(1, 13)))
    parser.add_argument("--only-model", action="store_true", help="keep the table's figures of all else")
    arguments = parser.parse_args()
    data = arguments.data.resolve()
    work = Path(tempfile.gettempdir()) / "titans-dna-bits-per-base"
    paths = prepare(data, work)
    tested = sequences(data, {name: paths[name] for name in GENOMES}, arguments.bases)
    model = load_model(arguments.model, "cpu")
    rows: dict[str, list] = {name: [name, int((ids < 4).sum())] for name, ids in tested.items()}
    for name, ids in tested.items():
        rows[name] += [
            carried_bits(model.backbone, [ids], model.bos).bits,
            reset_bits(model.backbone, [ids], model.bos, arguments.window_tokens).bits,
        ]
        print(rows[name], flush=True)
    if arguments.only_model:
        about, others = kept(rows)
    else:
        about, others = record.machine()["commit"], measured(tested, training_set(paths), arguments.orders)
    for name, other in others.items():
        rows[name] += [*other[:6], "yes" if rows[name][2] < min(other[2], other[4]) else "no", *other[6:]]
    record.write(
        "bits_per_base", "Bits per base on held-out sequence", COLUMNS, list(rows.values()),
        model=f"{arguments.model} {model.weights_sha256[:12]}", window_tokens=arguments.window_tokens,
        geco3_published=GECO_PUBLISHED, bases_of_each=arguments.bases or "all",
        all_but_the_model=f"commit {about}",
    )  # fmt: skip


if __name__ == "__main__":
    main()
