"""Sequences that go on behind prompts, as frames; by what ``titans-dna generate`` calls."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titans_dna.api.frames import frame_of_file, require_pandas
from titans_dna.api.reading import usable
from titans_dna.api.regions import iterate_regions, on_haplotypes
from titans_dna.errors import ConfigError
from titans_dna.inference.model import SequenceModel
from titans_dna.io.sequence.fasta import Genome, open_fasta
from titans_dna.jobs.generate import Generation, generate_file, prompts_of_regions, prompts_of_text

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)


def generate(
    model: SequenceModel, genome: Genome | None, given: Any, how: Generation, haplotypes: Any = None
) -> pd.DataFrame:
    """Go on with sequences, or regions of a genome (see `titans_dna.api.model.Model.generate`)."""
    require_pandas()
    if genome is None:
        asked = prompts_of_text(given)
    else:
        placed = list(iterate_regions(genome.contigs, given))
        for region in placed:
            usable(genome, region)
        genome, rows = on_haplotypes(genome, haplotypes, placed)
        for region in rows:
            if not region.usable:
                logger.warning("haplotype %s: %s is %s", region.haplotype, region.asked, region.outcome)
        asked = prompts_of_regions(genome, rows)
    if not asked:
        raise ConfigError("there is no prompt; give a sequence, which may be empty, or a region")
    with tempfile.TemporaryDirectory() as folder:
        output, table = Path(folder) / "generated.fa", Path(folder) / "generated.tsv"
        generate_file(model, genome, asked, output, how, table=table)
        frame = frame_of_file(table)
        with open_fasta(output) as fasta:
            found = {name: fasta.sequence(name).decode() for name in fasta.contigs.names}
    frame["sequence"] = [found.get(name, "") if kind == "generated" else "" for name, kind in
                         zip(frame["name"], frame["kind"], strict=True)]  # fmt: skip
    return frame
