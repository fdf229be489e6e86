"""Kill a job with SIGKILL at 20 random points, go on with it, and compare: run by test_embedding_job.py.

A point is a number of calls (Python and C) that the run has made; all are counted in one run that is let through.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from titans_dna.genome.interval import Interval
from titans_dna.inference import embed
from titans_dna.inference.embed import EmbedOptions
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.placing import place_interval
from titans_dna.inference.pooling import Pooling
from titans_dna.inference.streaming import stream_bases
from titans_dna.io.sequence.fasta import open_fasta
from titans_dna.jobs import work_folder
from titans_dna.jobs.embeddings import Storage, embedding_attributes, plan_embeddings, write_embeddings
from titans_dna.model.backbone import Backbone
from titans_dna.model.config import named_config
from titans_dna.tokenizers import NucleotideTokenizer

POINTS = 20
SPANS = [("c2", 10, 60), ("c1", 0, 90), ("c3", 5, 6), ("c1", 30, 80), ("c2", 0, 70), ("cZ", 0, 5)]


def job(folder: Path, model: SequenceModel, options: EmbedOptions) -> None:
    """Make ``e.h5`` in a folder, or go on with it."""
    with open_fasta(folder.parent / "toy.fa") as genome:
        placed = [place_interval(genome.contigs, Interval(*span)) for span in SPANS]
        plan = plan_embeddings(placed, genome.contigs.lengths, options)
        attributes = embedding_attributes(model, plan, Storage().shard)
        storage = Storage(resume=True)
        write_embeddings(folder / "e.h5", model, genome, plan, attributes, storage)


def killed_after(calls: int, folder: Path, model: SequenceModel, options: EmbedOptions) -> bool:
    """Run the job in a process that kills itself; tell whether it did."""
    child = os.fork()
    if child == 0:
        left = calls

        def count(*_: object) -> None:
            nonlocal left
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(count)
        job(folder, model, options)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def main(root: Path) -> None:
    """Kill and compare; print how many runs were killed, and how often parts were left."""
    torch.set_num_threads(1)
    work_folder.SAVE_SECONDS = 0.0
    embed.stream_bases = partial(stream_bases, piece_tokens=16)
    torch.manual_seed(0)
    backbone = Backbone(replace(named_config("nano"), width=16, layers=1, window_tokens=16, chunk_tokens=8)).eval()
    model = SequenceModel(backbone=backbone, tokenizer=NucleotideTokenizer(), name="toy", weights_sha256="0" * 64)
    letters = random.Random(1)
    contigs = {name: "".join(letters.choices("ACGT", k=90)) for name in ("c1", "c2", "c3")}
    (root / "toy.fa").write_text("".join(f">{name}\n{text}\n" for name, text in contigs.items()))
    killed = left = 0
    for options in (EmbedOptions(strand="both"), EmbedOptions(pooling=Pooling(kind="none"))):
        whole = root / f"whole-{options.pooling}"
        whole.mkdir()
        job(whole, model, options)  # loads what is loaded when it is first used
        calls = 0

        def count(*_: object) -> None:
            nonlocal calls
            calls += 1

        sys.setprofile(count)
        job(whole, model, options)
        sys.setprofile(None)
        wanted = (whole / "e.h5").read_bytes()
        for _ in range(POINTS // 2):
            point = letters.randrange(1, calls)
            folder = root / f"killed-{options.pooling}-{point}"
            folder.mkdir()
            killed += killed_after(point, folder, model, options)
            left += any(folder.glob("e.h5.work/*.npz"))
            if (folder / "e.h5").exists():  # killed after the file got its name
                assert (folder / "e.h5").read_bytes() == wanted
            job(folder, model, options)
            assert (folder / "e.h5").read_bytes() == wanted, point
            assert not (folder / "e.h5.work").exists(), point
    sys.stdout.write(f"{killed} {left}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
