"""Sequences that go on behind prompts, to FASTA, and a table of what they and their prompts are made of."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from titans_dna.errors import ConfigError
from titans_dna.inference.composition import Composition, describe_generated, describe_prompt
from titans_dna.inference.generate import Generated, Prompt, Sampling, generate, read_prompt
from titans_dna.inference.haplotype_genome import BOTH, DELETED
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.placing import PlacedRegion
from titans_dna.inference.windows import WHOLE_CONTIG, Context
from titans_dna.io.sequence.fasta import Genome
from titans_dna.io.sequence.fasta_writer import FastaWriter
from titans_dna.io.tables.tsv import TsvWriter
from titans_dna.jobs.haplotypes import BITS_DIFFERENCE, PLACE, place_columns
from titans_dna.jobs.provenance import describe_job, run_metadata
from titans_dna.jobs.work_folder import Arrays, WorkFolder
from titans_dna.jobs.workers import map_parallel, workers_for

COLUMNS = (
    "name", "kind", "prompt", "bases", "log_likelihood", "bits_per_base", "gc", "word_divergence", "copied",
    "longest_copy_bp",
)  # fmt: skip
PROMPT, GENERATED = "prompt", "generated"  # values of the column kind


@dataclass(frozen=True, kw_only=True)
class AskedPrompt:
    """A prompt to be read: a stretch of a sequence that is loaded when its turn comes."""

    name: str  # of no other prompt
    sequence: Callable[[], bytes]
    start: int  # 0-based half-open
    end: int
    contig: str = ""  # on which it lies; "" for a sequence by itself
    drawn_as: str = ""  # name on which its random numbers depend; "" for its own
    haplotype: int = 0  # 1 or 2, on which it lies; 0 for none


@dataclass(frozen=True, kw_only=True)
class Generation:
    """How sequences are made.

    Raises
    ------
    ConfigError
        If there is nothing to generate.
    """

    bases: int = 1000  # of each sequence
    number: int = 1  # of sequences behind each prompt
    sampling: Sampling = field(default_factory=Sampling)
    reverse: bool = False  # go on along the other strand, before the start of a prompt
    context: Context = WHOLE_CONTIG
    workers: int = 1  # processes that draw the sequences behind a prompt side by side

    def __post_init__(self) -> None:
        if self.bases < 1 or self.number < 1:
            raise ConfigError("bases and number are how much is generated; choose 1 or more")

    def told(self) -> dict[str, object]:
        """Return what an output says of it."""
        sampling = self.sampling
        return {
            "temperature": f"{sampling.temperature:g}", "top_k": sampling.top_k, "top_p": f"{sampling.top_p:g}",
            "seed": sampling.seed, **({} if sampling.copies else {"copies": "not asked"}),
            **({"strand": "-"} if self.reverse else {}), **self.context.told(),
        }  # fmt: skip


def prompts_of_regions(genome: Genome, placed: Iterable[PlacedRegion]) -> list[AskedPrompt]:
    """Return the regions that can be used as prompts, each under its own name or else its place.

    On a sample's haplotypes the names are ``NAME/1`` and ``NAME/2``. Random numbers depend on the name of the region
    alone, so that nothing but the prompt makes what goes on behind the two haplotypes differ.
    """
    # A region that is deleted on one haplotype counts on both, or else the names of the others would not agree.
    named = [region for region in placed if region.usable or region.outcome == DELETED]
    names = _unique([(region.haplotype, _name(region)) for region in named])
    return [
        AskedPrompt(
            name=f"{name}/{region.haplotype}" if region.haplotype else name, drawn_as=name,
            sequence=partial(genome.sequence, region.contig), start=region.start, end=region.end, contig=region.contig,
            haplotype=region.haplotype,
        )
        for name, region in zip(names, named, strict=True)
        if region.usable
    ]  # fmt: skip


def _name(region: PlacedRegion) -> str:
    return region.asked.name or str(region.asked if region.haplotype else region.placed)


def prompts_of_text(sequences: Sequence[bytes]) -> list[AskedPrompt]:
    """Return sequences as prompts with the names ``prompt1``, ``prompt2``, ..."""
    return [
        AskedPrompt(name=f"prompt{number}", sequence=partial(bytes, sequence), start=0, end=len(sequence))
        for number, sequence in enumerate(sequences, 1)
    ]


def _unique(names: Sequence[tuple[int, str]]) -> list[str]:
    """Return names without blanks; where one is there again on the same haplotype, it gets a number."""
    seen: Counter[tuple[int, str]] = Counter()
    found = []
    for haplotype, name in ((haplotype, "_".join(name.split())) for haplotype, name in names):
        seen[haplotype, name] += 1
        times = seen[haplotype, name]
        found.append(name if times == 1 else f"{name}.{times}")
    return found


def generate_file(
    model: SequenceModel,
    genome: Genome | None,
    prompts: Sequence[AskedPrompt],
    output: Path,
    how: Generation,
    *,
    table: Path | None = None,
    resume: bool = False,
    read: Callable[[int], None] = lambda bases: None,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write the sequences that go on behind prompts; return how many there are.

    Parameters
    ----------
    model
        With one token per base.
    genome
        Where the prompts lie; None where they are sequences by themselves.
    prompts
        From `prompts_of_regions` or `prompts_of_text`.
    output
        FASTA; ``-`` for standard output.
    how
        How many, how long, and how they are drawn.
    table
        Also write a row for each prompt and each sequence.
    resume
        Go on from an unfinished run.
    read
        Called with the number of bases of prompts, and of what stands before them, read since the last call.
    advance
        Called with (bases drawn since the last call, bases in all).

    Raises
    ------
    ConfigError
        If there is no prompt, the unfinished run was another one, or the model reads tokens of several bases.
    """
    if not prompts:
        raise ConfigError("there is no prompt to go on from. Give --region, --bed or --prompt.")
    options = {"kind": "generated", "bases": how.bases, "number": how.number, **how.told()}
    metadata = run_metadata(model, genome, options)
    total = len(prompts) * how.number * how.bases
    with WorkFolder(output, _job(metadata, genome, prompts), model, resume=resume) as work:
        made = [
            _Continuing(model, how, work, read, lambda done: advance(done, total)).parts(place, prompt)
            for place, prompt in enumerate(prompts)
        ]
        _write(output, table, prompts, made, genome, metadata, how)
    return len(prompts) * how.number


def _job(metadata: dict[str, str], genome: Genome | None, prompts: Sequence[AskedPrompt]) -> dict[str, str]:
    """Return what an unfinished run and the one that goes on must have in common."""
    digest = hashlib.sha256()
    for prompt in prompts:
        digest.update(f"{prompt.name}\t{prompt.start}\t{prompt.end}\n".encode())
        digest.update(b"" if genome else prompt.sequence())
    contigs = dict.fromkeys(prompt.contig for prompt in prompts)
    job = describe_job(metadata, genome, contigs) if genome else dict(metadata)
    job.pop("command", None)
    return job | {"prompts": digest.hexdigest()}


class _Continuing:
    """Makes the sequences that go on from a prompt; a prompt whose sequences are all finished is not read again."""

    def __init__(
        self, model: SequenceModel, how: Generation, work: WorkFolder, read: Callable[[int], None],
        progress: Callable[[int], None],
    ) -> None:  # fmt: skip
        self.model, self.how, self.work, self.read, self.progress = model, how, work, read, progress

    def parts(self, place: int, asked: AskedPrompt) -> list[Arrays]:
        """Return the part of the prompt and the parts of its sequences."""
        how, names = self.how, [f"{place}-{number}" for number in range(self.how.number + 1)]
        found = [self.work.part(name) for name in names]
        self.progress(how.bases * sum(part is not None for part in found[1:]))
        if all(part is not None for part in found):
            return [part for part in found if part is not None]
        prompt = read_prompt(
            self.model, asked.drawn_as or asked.name, asked.sequence(), asked.start, asked.end, reverse=how.reverse,
            context=how.context, advance=self.read,
        )  # fmt: skip
        nothing = np.zeros(0, np.uint8)
        self.work.keep(names[0], _part(nothing, prompt.log_likelihood, prompt.known, describe_prompt(prompt)))
        missing = [number for number, part in enumerate(found) if number and part is None]
        workers = workers_for(self.model, how.workers)
        alone = workers == 1 or len(missing) == 1
        work = partial(self._draw, prompt, self.progress if alone else lambda bases: None)
        for number, drawn in zip(missing, map_parallel(work, missing, workers), strict=True):
            self.work.keep(names[number], drawn)
            if not alone:
                self.progress(how.bases)
        return [part for name in names if (part := self.work.part(name)) is not None]

    def _draw(self, prompt: Prompt, progress: Callable[[int], None], number: int) -> Arrays:
        found = generate(self.model, prompt, self.how.bases, self.how.sampling, number, progress)
        return _part(found.ids, found.log_likelihood, len(found.ids), describe_generated(prompt, found))


def _part(ids: np.ndarray, log_likelihood: float, known: int, made_of: Composition) -> Arrays:
    figures = (log_likelihood, known, made_of.gc, made_of.word_divergence, made_of.copied, made_of.longest_copy_bp)
    return {"ids": ids, "figures": np.array(figures, np.float64)}


def _row(part: Arrays) -> dict[str, Any]:
    """Return the figures of a part by column; what is not known is missing."""
    log_likelihood, known, gc, word_divergence, copied, longest = part["figures"].tolist()
    return {
        "bases": int(known),
        "log_likelihood": log_likelihood if known else math.nan,
        "bits_per_base": -log_likelihood / known / math.log(2) if known else math.nan,
        "gc": gc, "word_divergence": word_divergence, "copied": copied, "longest_copy_bp": int(longest),
    }  # fmt: skip


def rows_of(
    prompts: Sequence[AskedPrompt], made: Sequence[Sequence[Arrays]]
) -> Iterator[tuple[dict[str, Any], Arrays]]:
    """Yield the row of each prompt and its part, and behind it those of its sequences."""
    differences = _differences(prompts, made)
    for prompt, parts in zip(prompts, made, strict=True):
        place = dict(zip(PLACE, (prompt.haplotype, prompt.start, prompt.end), strict=True)) if prompt.haplotype else {}
        for number, part in enumerate(parts):
            name, kind = (f"{prompt.name}_{number}", GENERATED) if number else (prompt.name, PROMPT)
            further = {**place, BITS_DIFFERENCE: differences.get((prompt.drawn_as, number), math.nan)}
            yield {"name": name, "kind": kind, "prompt": prompt.name, **_row(part), **further}, part


def _differences(prompts: Sequence[AskedPrompt], made: Sequence[Sequence[Arrays]]) -> dict[tuple[str, int], float]:
    """Return bits per base on haplotype 2 minus those on haplotype 1, of each region's prompt (0) and sequences."""
    bits: dict[int, dict[tuple[str, int], float]] = {number: {} for number in (0, *BOTH)}
    for prompt, parts in zip(prompts, made, strict=True):
        for number, part in enumerate(parts):
            bits[prompt.haplotype][prompt.drawn_as, number] = _row(part)["bits_per_base"]
    first, second = (bits[number] for number in BOTH)
    return {key: second[key] - first[key] for key in first.keys() & second.keys()}


def _write(
    output: Path, table: Path | None, prompts: Sequence[AskedPrompt], made: Sequence[Sequence[Arrays]],
    genome: Genome | None, metadata: dict[str, str], how: Generation,
) -> None:  # fmt: skip
    with FastaWriter(output) as fasta:
        for row, part in rows_of(prompts, made):
            if row["kind"] == GENERATED:
                told = {"prompt": row["prompt"], **{key: _short(row[key]) for key in _TOLD}, **how.told()}
                sequence = Generated(ids=part["ids"], log_likelihood=0.0).sequence
                fasta.write(row["name"], sequence, told | {"model": metadata["model"]})
    if table is not None:
        further = [column.name for column in place_columns(genome)] if genome else []
        with TsvWriter(table, (*COLUMNS, *further), metadata) as rows:
            for row, _ in rows_of(prompts, made):
                rows.write({name: row[name] for name in (*COLUMNS, *further)})


_TOLD = ("bases", "log_likelihood", "bits_per_base", "gc", "copied")


def _short(value: float) -> str:
    return "NA" if math.isnan(value) else f"{value:.6g}"
