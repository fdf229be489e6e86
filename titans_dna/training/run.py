"""A pretraining run from files to a model folder."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from titans_dna.errors import ConfigError
from titans_dna.io.fasta import open_fasta
from titans_dna.loading.lanes import Contig
from titans_dna.loading.word_lanes import WordContig
from titans_dna.model.backbone import Backbone
from titans_dna.model.checkpoint import save_checkpoint
from titans_dna.model.config import BackboneConfig
from titans_dna.model.device import choose_device
from titans_dna.tokenizers import Tokenizer, soft_mask
from titans_dna.training.config import TrainingConfig
from titans_dna.training.evaluation import NUCLEOTIDES
from titans_dna.training.loop import LogRow, train
from titans_dna.training.words import fit_config, is_single
from titans_dna.version import __version__

LOG, SUMMARY = "log.csv", "training.json"


def pretrain_model(
    fastas: Sequence[Path],
    output: Path,
    backbone: BackboneConfig,
    config: TrainingConfig,
    *,
    size: str = "custom",
    holdout: Sequence[str] = (),
    device: str = "auto",
    tokenizer: Tokenizer = NUCLEOTIDES,
    advance: Callable[[int], None] = lambda _: None,
) -> str:
    """Train a model and write its folder; return one line about it.

    Parameters
    ----------
    fastas
        Sequence files; every contig that is not held out is learned.
    output
        Folder of the model.
    backbone, config
        The model and the run.
    size
        Name of the configuration, for the record.
    holdout
        Contigs to evaluate on, under any of their names.
    device
        auto, cpu or cuda.
    tokenizer
        What the model reads; its vocabulary becomes that of the model.
    advance
        Called with the number of tokens of every step.

    Raises
    ------
    ConfigError
        If everything is held out, or there is too little to learn.
    """
    where = choose_device(device)
    torch.manual_seed(config.seed)
    contigs, held_out, record = _read(fastas, holdout, config, tokenizer)
    model = Backbone(fit_config(backbone, tokenizer)).to(where)
    rows: list[LogRow] = []

    def report(row: LogRow) -> None:
        rows.append(row)
        if row.split == "train":
            advance(config.lanes * config.window_tokens)

    train(model, contigs, held_out, config, bos=tokenizer.targets + 1, tokenizer=tokenizer, report=report)
    if not all(bool(torch.isfinite(x).all()) for x in model.parameters()):
        raise ConfigError("training ended in weights that are not finite; lower --learning-rate")
    parameters = sum(x.numel() for x in model.parameters())
    record |= {
        "command": " ".join(["titans-dna", *sys.argv[1:]]),
        "model": size,
        "tokenizer": tokenizer.kind,
        "parameters": parameters,
        **asdict(config),
        "seconds": round(rows[-1].seconds, 1),
        "bases": rows[-1].bases,
        "device": where.type,
        "torch_version": torch.__version__,
        "package_version": __version__,
    }
    texts = {LOG: _log(rows), SUMMARY: json.dumps(record, indent=2) + "\n"}
    save_checkpoint(output, model, tokenizer.to_json(), texts)
    last = next((r for r in reversed(rows) if r.split == "validation"), rows[-1])
    return (
        f"{output}: {parameters:,} parameters, {last.bits_per_base:.4f} bits per base "
        f"({last.split}) after {rows[-1].bases:,} bases"
    )


def _read(
    fastas: Sequence[Path], holdout: Sequence[str], config: TrainingConfig, tokenizer: Tokenizer
) -> tuple[list[Contig] | list[WordContig], list[np.ndarray], dict[str, Any]]:
    """Return the contigs to learn, those held out, and where they came from."""
    learned: list[Any] = []
    held_out: list[np.ndarray] = []
    names: tuple[list[str], list[str]] = ([], [])
    found: set[str] = set()
    checksums: dict[str, str] = {}
    for path in fastas:
        with open_fasta(path) as fasta:
            aside = {fasta.contigs.resolve(name): name for name in holdout}
            digest = hashlib.md5(usedforsecurity=False)
            for contig in fasta.contigs.names:
                sequence = fasta.sequence(contig)
                digest.update(sequence.upper())
                if contig in aside:
                    held_out.append(tokenizer.encode(sequence))
                    found.add(aside[contig])
                elif not is_single(tokenizer):
                    learned.append(WordContig.of(sequence, tokenizer))
                else:
                    ids = tokenizer.encode(sequence)
                    weights = np.where(soft_mask(sequence), config.soft_mask_weight, 1.0).astype(np.float16)
                    learned.append(Contig(ids=ids, weights=weights))
                names[contig in aside].append(contig)
            checksums[str(path)] = digest.hexdigest()
    missing = [name for name in holdout if name not in found]
    if missing:
        raise ConfigError(f"--holdout {missing[0]}: no FASTA has this contig; it has {', '.join(names[0][:5])}")
    if not learned:
        raise ConfigError("every contig is held out; leave some to learn")
    record = {
        "fasta": [str(path) for path in fastas],
        "fasta_md5": checksums,
        "train_contigs": names[0],
        "holdout_contigs": names[1],
    }
    return learned, held_out, record


def _log(rows: Sequence[LogRow]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(f.name for f in fields(LogRow))
    for row in rows:
        values = asdict(row)
        writer.writerow(f"{v:.6g}" if isinstance(v, float) else v for v in values.values())
    return text.getvalue()
