"""A small random model whose memory and head are far from zero, and files to read with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from toy import CONFIG, RECALL, cache  # noqa: F401 - the cache is a fixture

from titans_dna.inference.model import SequenceModel
from titans_dna.io.sequence.fasta import Fasta, open_fasta
from titans_dna.io.variants.vcf import VcfRecord
from titans_dna.model.backbone import Backbone
from titans_dna.tokenizers import NucleotideTokenizer, Tokenizer


@pytest.fixture(scope="session")
def make_model():
    """A model whose predictions are far from even, so that a base in the wrong place shows."""

    def make(tokenizer: Tokenizer | None = None, **changes) -> SequenceModel:
        tokenizer = tokenizer or NucleotideTokenizer()
        sizes = {"vocabulary": len(tokenizer.vocabulary), "targets": tokenizer.targets}
        with torch.random.fork_rng():
            torch.manual_seed(11)
            backbone = Backbone(replace(CONFIG, **{**sizes, **changes}))
            torch.nn.init.normal_(backbone.head.weight, std=0.5)
        backbone.eval().requires_grad_(False)
        return SequenceModel(backbone=backbone, tokenizer=tokenizer, name="toy", weights_sha256="0" * 64)

    return make


@pytest.fixture(scope="session")
def model(make_model) -> SequenceModel:
    return make_model()


@pytest.fixture(scope="session")
def random_bases():
    """Random sequence of a seed."""

    def make(bases: int, seed: int = 0, letters: bytes = b"ACGT") -> bytes:
        return bytes(np.random.default_rng(seed).choice(list(letters), bases).astype(np.uint8))

    return make


@pytest.fixture(scope="session")
def make_fasta(tmp_path_factory):
    """An open FASTA of the given contigs."""

    def make(contigs: dict[str, bytes]) -> Fasta:
        path = tmp_path_factory.mktemp("fasta") / "toy.fa"
        path.write_bytes(b"".join(b">" + name.encode() + b"\n" + text + b"\n" for name, text in contigs.items()))
        return open_fasta(path)

    return make


@pytest.fixture(scope="session")
def make_record():
    """A record as the VCF reader gives it."""

    def make(
        position: int, ref: str, *alts: str, contig: str = "chrA", problem: str = "", line: int = 1, info: str = "."
    ) -> VcfRecord:
        text = "\t".join([contig, str(position), ".", ref, ",".join(alts) or ".", ".", ".", info])
        return VcfRecord(line, text, contig, position, ref, alts, problem)

    return make


@pytest.fixture(scope="session")
def log_probabilities():
    """ln P of every base, read in one call from the start; nan where a base is not known."""

    def read(model: SequenceModel, sequence: bytes) -> np.ndarray:
        ids = torch.from_numpy(model.tokenizer.encode(sequence).astype(np.int64))
        inputs = torch.cat([torch.tensor([model.bos]), ids[:-1]])[None]
        with torch.inference_mode():
            log_p = model.backbone(inputs)[0].log_softmax(-1).double().numpy()
        known = ids.numpy() < 4
        return np.where(known, log_p[np.arange(len(ids)), np.where(known, ids.numpy(), 0)], np.nan)

    return read


@pytest.fixture(scope="module")
def recalling(make_model):
    return make_model(recall=RECALL)


@pytest.fixture(scope="module")
def sequence(random_bases) -> bytes:
    """With copies: one of 150 bases, one of 70."""
    first = random_bases(150, 41)
    return first + random_bases(100, 42) + b"NN" + first + random_bases(60, 43) + first[:70]
