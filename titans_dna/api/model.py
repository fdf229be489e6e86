"""A model in a notebook: what people have goes in, frames and arrays come out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_dna.api.embedding import embed
from titans_dna.api.explaining import explain
from titans_dna.api.frames import require_pandas
from titans_dna.api.generating import generate
from titans_dna.api.reading import base_likelihoods, mutate, read_how, remember, score_regions, trace_copies
from titans_dna.api.sequences import opened, read_sequences
from titans_dna.api.variants import score_variants
from titans_dna.errors import ConfigError, check_least
from titans_dna.inference.embed import OWN_STRAND, STRANDS, EmbedOptions
from titans_dna.inference.generate import Sampling
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.pooling import Pooling
from titans_dna.inference.windows import Context
from titans_dna.jobs.explain import Explaining
from titans_dna.jobs.generate import Generation
from titans_dna.jobs.variant_scores import ScoringOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from titans_dna.api.base_predictor import BasePredictor
    from titans_dna.api.classifier import Classifier


class Model:
    """A model that reads DNA; made by `titans_dna.load_model`.

    Every call begins with a fresh memory, so no result depends on an earlier call. Genomes are given as a path (FASTA,
    plain, gzip or bgzip, GenBank, EMBL) or as what `open_fasta` returned; contigs may be named in any common way.
    Regions written as text are 1-based with the end included; intervals, tuples, frames and BED count from 0 and leave
    the end out. Positions of variants are 1-based.
    """

    def __init__(self, sequence_model: SequenceModel) -> None:
        self._model = sequence_model

    def __repr__(self) -> str:
        return f"Model({self.name!r}, {self.parameters:,} parameters, {self.device})"

    @property
    def name(self) -> str:
        """Name of its folder."""
        return self._model.name

    @property
    def parameters(self) -> int:
        """Number of its weights."""
        return sum(weight.numel() for weight in self._model.backbone.parameters())

    @property
    def device(self) -> str:
        """Where it computes: ``cpu`` or ``cuda:0``."""
        return str(self._model.device)

    @property
    def width(self) -> int:
        """Features of a base, and so of an embedding of one layer."""
        return self._model.backbone.config.width

    def log_likelihood(self, sequences: Any, *, strand: str = "forward") -> np.ndarray | list[np.ndarray]:
        """Return ln P of every base, given all bases before it.

        Each sequence is read by itself from a fresh memory, behind a start token; so the first base has a value too,
        and others in the list change nothing.

        Parameters
        ----------
        sequences
            Bases as str or bytes (lower case is read as upper case), a list, array or Series of them, a frame with a
            column ``sequence``, or the path of a FASTA, each contig of which is a sequence.
        strand
            ``forward``, ``reverse`` (given the bases behind it, on the other strand), or ``both``: the mean of the two.

        Returns
        -------
        numpy.ndarray or list of numpy.ndarray
            (bases,) float32 in nats, in the order of the sequence whatever the strand; nan where the base is N or
            another ambiguity code. A list of them if several sequences were given.

        Raises
        ------
        FormatError, InputMissing
            If a letter is no nucleotide, or the file is not there.
        ConfigError
            If the strand is unknown.
        """
        if strand not in STRANDS:
            raise ConfigError(f"strand is {strand!r}; choose forward, reverse or both")
        read, single = read_sequences(sequences)
        found = [base_likelihoods(self._model, sequence, STRANDS[strand]) for sequence in read]
        return found[0] if single else found

    def remember(
        self, genomes: Any, *, target: Any = None, one_vote_per: str = "file", allow_self: bool = False
    ) -> Model:
        """Return this model as it reads with genomes of relatives, strains or haplotypes in its copy memory.

        Nothing is aligned or trained, and this model is not changed. Of the model that is returned `score_variants`
        also has columns of the relatives' vote.

        Parameters
        ----------
        genomes
            Path of a FASTA, GenBank or EMBL file, or of a memory file that ``titans-dna remember`` wrote; or a list of
            them. A file of ``remember --target`` makes contexts of ``window:N`` of its contigs start at once.
        target
            The genome that is to be scored, to make sure that no relative is the target itself.
        one_vote_per
            What is one relative: ``file``, ``contig``, or ``prefix`` (what contigs are named before the first # or |).
        allow_self
            Whether contigs that are the target itself are left out, in place of refused.

        Returns
        -------
        Model
            The same weights, with the relatives in the copy memory.

        Raises
        ------
        ConfigError
            If the model has no copy memory, a relative is the target, or a memory was made with other settings.
        FormatError, InputMissing
            If a file cannot be read.
        """
        return Model(remember(self._model, genomes, target, one_vote_per=one_vote_per, allow_self=allow_self))

    def embed(
        self,
        inputs: Any,
        fasta: Any = None,
        *,
        pooling: str = "mean",
        layers: str | int | Sequence[str | int] = "final",
        strand: str = "forward",
        context: str | None = None,
        window_bp: int | None = None,
        stride_bp: int | None = None,
        return_outcomes: bool = False,
        workers: int = 1,
        haplotypes: Any = None,
    ) -> Any:
        """Return one vector for each sequence, or for each region of a genome.

        N and other ambiguity codes are left out of every vector.

        Parameters
        ----------
        inputs
            Without ``fasta``: sequences, as in `log_likelihood`. With it: regions as text, `Interval`, tuples (contig,
            start, end), a frame with columns contig, start and end, the path of a BED or GTF file (of GTF and GFF the
            exons; ``read_intervals(path, feature="gene")`` takes other features), or None for whole contigs.
        fasta
            The genome of the regions.
        pooling
            From bases to a vector: ``mean``, ``max``, ``last``, ``center``, ``bins:N`` (N means, one behind the other)
            or ``none`` (a vector for every base).
        layers
            ``final``, or numbers of blocks (0: token embedding); of several, the vectors stand one behind the other.
        strand
            ``forward``, ``reverse`` or ``both`` (the mean of the two); for regions also ``region``: each on its own
            strand, with what stands before it on that strand, and with bins and bases in its direction.
        context
            Of regions: ``contig`` (the default) reads a region with the memory of all before it on its contig,
            ``window:N`` with at least N bases before it, ``region`` each by itself. Sequences are always read by
            themselves.
        window_bp, stride_bp
            Cut the regions into windows of this length, one every ``stride_bp`` bases (by default the window's length).
        return_outcomes
            Return what became of each input too.
        workers
            Processes that read windows side by side; they change no vector.
        haplotypes
            As in `score_regions`: two rows for each region, haplotype 1 and behind it haplotype 2.

        Returns
        -------
        numpy.ndarray or list of numpy.ndarray
            (inputs, numbers) float32, where numbers = `width` x layers x bins; (numbers,) for a single sequence or
            region that is not cut into windows. With a pooling of ``none`` (bases, numbers), and a list of these for
            several inputs. Rows without a known base, and regions that are not on the genome, are nan; a warning is
            logged that says how many there are, and why.
        numpy.ndarray or str
            With ``return_outcomes`` only: the outcome of each row, ``embedded``, ``clipped`` (embedded as far as its
            contig goes), or why it has no vector: ``reference_n`` (no known base), ``empty``,
            ``contig_unknown``, ``beyond_contig`` or ``malformed``.

        Raises
        ------
        FormatError, InputMissing, ContigUnknown
            If an input cannot be read, or a region given as text lies on no contig of the genome.
        ConfigError
            If an option is unknown, or changes nothing for these inputs.
        """
        if stride_bp is not None and window_bp is None:
            raise ConfigError("stride_bp needs window_bp; give both")
        if fasta is None and context not in (None, "region"):
            raise ConfigError("sequences have no contig before them; give a fasta, or leave context out")
        if fasta is None and strand == OWN_STRAND:
            raise ConfigError("sequences have no strand of their own; give a fasta, or choose forward, reverse or both")
        check_least(1, window_bp=window_bp, stride_bp=stride_bp)
        names = (layers,) if isinstance(layers, str | int) else tuple(layers)
        options = EmbedOptions(
            pooling=Pooling.parse(pooling), layers=tuple(map(str, names)), strand=strand,
            context=Context.parse(context or ("region" if fasta is None else "contig")),
        )  # fmt: skip
        options.check(self._model)
        found, outcomes = embed(self._model, inputs, fasta, options, (window_bp, stride_bp), workers, haplotypes)
        return (found, outcomes) if return_outcomes else found

    def score_variants(
        self,
        variants: Any,
        fasta: Any,
        *,
        horizon_bp: int = 128,
        longest_bp: int = 1000,
        imprecise: bool = False,
        junctions: bool = False,
        on_mismatch: str = "skip",
        haplotype: str = "",
        background: str | os.PathLike[str] | None = None,
        gtf: str | os.PathLike[str] | None = None,
        shuffles: int = 0,
        context: str = "contig",
        workers: int = 1,
    ) -> pd.DataFrame:
        """Score variants by ln P(ALT) - ln P(REF), given the whole contig on both sides, averaged over both strands.

        REF is compared with the genome, and indels are placed leftmost; so a variant has one score however it is
        written. One that cannot be scored has nan and an outcome that says why, never 0.

        Parameters
        ----------
        variants
            ``"chr1:1001:A:G"`` or ``"chr1:1001A>G"`` (1-based), a `Variant`, a tuple (contig, position, ref, alt), a
            list of these, a frame with columns contig or chrom, position or pos, ref and alt, or the path of a VCF, BCF
            or table.
        fasta
            The genome.
        horizon_bp
            Bases behind the variant whose probabilities count.
        longest_bp
            Longest allele that is scored; of a structural variant, written out in bases.
        imprecise
            Whether structural variants whose junctions are not known to the base are scored as if they were.
        junctions
            Whether to add the column junction: the part of llr in the bases behind the variant, which REF has too.
        on_mismatch
            Where REF is not what the genome has: ``skip`` (no score), ``error``, ``swap`` (exchange REF and ALT if ALT
            fits) or ``force`` (compare the two alleles as they are written).
        haplotype
            Sample of the VCF whose phased neighbours are applied first.
        background
            File of common variants; each score gets its ``quantile`` among theirs.
        gtf
            GTF or GFF3, for the columns gene, feature (CDS, UTR, exon, intron, gene or intergenic) and gene_distance.
        shuffles
            Dinucleotide-shuffled surroundings for an empirical ``p_value``; 0 for none.
        context
            What the network reads before a variant: ``contig``, or ``window:N`` for N bases at least, with all of the
            contig before them in the copy memory alone; a variant then costs the same wherever it lies.
        workers
            Processes that score side by side in windows; they change no score.

        Returns
        -------
        pandas.DataFrame
            One row for each variant in the order of the input, and one for each ALT where there are several: contig,
            position (1-based), id, ref, alt, llr, llr_forward and llr_reverse (nats; negative where ALT is less likely)
            and outcome (`Outcome`; ``scored`` for most). Of a model with relatives (`remember`) also vote and tolerance
            (the lower, the more they speak against ALT), and the numbers of them that have REF, ALT and another base:
            relatives_ref, relatives_alt and relatives_other; nan for insertions and deletions. The index is that of the
            frame if one was given. A variant that cannot be read has an empty contig, position 0 and the outcome
            ``malformed``.

        Raises
        ------
        ReferenceMismatch
            If no variant lies on a contig of the genome, or most of twenty or more have a REF that the genome has not:
            then it is another genome.
        FormatError, InputMissing
            If the input is none of the above, or a file cannot be read.
        ConfigError
            If options do not go together, or pandas is not installed.
        """
        if on_mismatch not in ("skip", "error", "swap", "force"):
            raise ConfigError(f"on_mismatch is {on_mismatch!r}; choose skip, error, swap or force")
        check_least(0, horizon_bp=horizon_bp, shuffles=shuffles)
        check_least(1, longest_bp=longest_bp, workers=workers)
        options = ScoringOptions(
            horizon_bp=horizon_bp, longest_bp=longest_bp, imprecise=imprecise, junctions=junctions,
            on_mismatch=on_mismatch, haplotype=haplotype, shuffles=shuffles, context=Context.parse(context),
        )  # fmt: skip
        beside = tuple(None if path is None else Path(path) for path in (background, gtf))
        with opened(fasta) as genome:
            return score_variants(self._model, variants, genome, options, (beside[0], beside[1]), workers)

    def explain(
        self,
        variants: Any,
        fasta: Any,
        *,
        flank_bp: int = 40,
        horizon_bp: int = 128,
        longest_bp: int = 1000,
        context: str = "contig",
        picture: str | os.PathLike[str] | None = None,
    ) -> pd.DataFrame:
        """Say why variants score as they do: ln P of every base around them with REF and with ALT, on both strands.

        Parameters
        ----------
        variants
            As in `score_variants`, but no file.
        fasta
            The genome.
        flank_bp
            Bases before a variant that are shown too; they do not count.
        horizon_bp, longest_bp, context
            As in `score_variants`.
        picture
            ``.png``, ``.svg`` or ``.pdf`` to draw what every base adds to the scores, of 20 variants at most.

        Returns
        -------
        pandas.DataFrame
            A row for each base around each variant: variant, contig, position (1-based; of an inserted base that of the
            base before it), offset (number of an inserted base, else 0), ref and alt ("-" where an allele lacks it),
            forward_ref, forward_alt, reverse_ref and reverse_alt (ln P in nats), counted (``both``, ``forward``,
            ``reverse`` or ``none``: the strands whose score sums over the row), and for each reading the place of the
            copy memory that was followed (``forward_ref_copy``, ...).

        Raises
        ------
        ConfigError
            If no variant can be explained, there are more than 1,000, or pandas is not installed.
        ReferenceMismatch
            If the variants belong to another genome.
        FormatError, InputMissing
            If the genome cannot be read.
        """
        check_least(0, flank_bp=flank_bp, horizon_bp=horizon_bp)
        check_least(1, longest_bp=longest_bp)
        how = Explaining(
            flank_bp=flank_bp, horizon_bp=horizon_bp, longest_bp=longest_bp, context=Context.parse(context)
        )  # fmt: skip
        with opened(fasta) as genome:
            return explain(self._model, genome, variants, how, None if picture is None else Path(picture))

    def score_regions(
        self, regions: Any, fasta: Any, *, strand: str = "forward", context: str = "contig", without: Any = None,
        workers: int = 1, haplotypes: Any = None,
    ) -> pd.DataFrame:  # fmt: skip
        """Score regions, each read with the memory of its whole contig before it.

        Parameters
        ----------
        regions
            As in `embed`; None for whole contigs.
        fasta
            The genome.
        strand
            ``forward``, ``reverse``, or ``region``: each region on its own strand. On the reverse strand, what stands
            before a region is what lies to the right of it on its contig.
        context, workers
            As in `score_variants`; ``region`` too, which reads each region by itself.
        without
            Regions that the copy memory does not hold when the bits are read a second time, in windows: the columns
            bits_without_stretch and bits_from_stretch, the difference.
        haplotypes
            ``("phased.vcf.gz", "NA1")``: the haplotypes of this sample are read in place of the genome; with a third
            entry, 1 or 2, one of them. A sample of "" is the only one of the file.

        Returns
        -------
        pandas.DataFrame
            One row for each region in the order of the input: contig, start, end (0-based, end excluded), name, strand,
            bases (known ones), log_likelihood (nats), bits_per_base, memory_surprise (mean loss of the memories),
            entropy_bits (mean entropy of the predictions), and outcome: ``scored``, ``clipped`` (scored up to the end
            of its contig), or why it has no score. Of a model with relatives, in windows, also bits_without_relatives.
            With ``haplotypes`` a row for each haplotype of a region, and the columns haplotype, haplotype_start and
            haplotype_end (its place there) and bits_difference (bits per base of haplotype 2 minus those of
            haplotype 1); the outcome may be ``deleted``.

        Raises
        ------
        FormatError, InputMissing, ContigUnknown
            If a region given as text lies on no contig, or a file cannot be read.
        ConfigError
            If pandas is not installed, or the sample's haplotypes are not known.
        """
        require_pandas()
        with opened(fasta) as genome:
            how = read_how(genome, context, without, workers, strand)
            return score_regions(self._model, genome, regions, how, haplotypes)

    def copies(self, fasta: Any, *, contigs: Sequence[str] | None = None, least_bp: int = 32) -> pd.DataFrame:
        """Trace where sequence comes from: stretches that the copy memory foretells, and the earlier places.

        No network is run. Relatives are among the places if the model has read them (`remember`).

        Parameters
        ----------
        fasta
            The genome.
        contigs
            Names of those that are traced; None for all.
        least_bp
            Shorter stretches are left out.

        Returns
        -------
        pandas.DataFrame
            A row for each stretch, with the columns of BEDPE (0-based, end excluded) and identity, bits_saved and
            genome2: the relative, "" for the genome itself.

        Raises
        ------
        ConfigError
            If the model has no copy memory, or pandas is not installed.
        ContigUnknown, FormatError, InputMissing
            If there is no such contig, or the genome cannot be read.
        """
        require_pandas()
        check_least(1, least_bp=least_bp)
        with opened(fasta) as genome:
            return trace_copies(self._model, genome, contigs, least_bp)

    def mutagenesis(
        self, regions: Any, fasta: Any = None, *, horizon_bp: int = 128, context: str = "contig", workers: int = 1
    ) -> pd.DataFrame:
        """Score all three single-base changes of every base by ln P(change) - ln P(reference), on both strands.

        Parameters
        ----------
        regions
            Regions of a genome, as in `embed`; without ``fasta`` sequences, as in `log_likelihood`.
        fasta
            The genome; each change is scored given the whole contig, or what ``context`` says.
        horizon_bp
            Bases behind a change whose probabilities count.
        context, workers
            As in `score_regions`.

        Returns
        -------
        pandas.DataFrame
            Three rows for each base: contig (``sequence0``, ``sequence1``, ... for sequences), position (1-based), ref,
            alt, llr, llr_forward, llr_reverse (nats) and outcome. An unknown base has four rows, nan and the outcome
            ``reference_n``.

        Raises
        ------
        ContigUnknown, FormatError, InputMissing
            If a region is not on the genome, or an input cannot be read.
        ConfigError
            If pandas is not installed.
        """
        require_pandas()
        check_least(0, horizon_bp=horizon_bp)
        if fasta is None:
            return mutate(self._model, None, read_sequences(regions)[0], horizon_bp)
        with opened(fasta) as genome:
            return mutate(self._model, genome, regions, horizon_bp, Context.parse(context), workers)

    def generate(
        self,
        prompts: Any = "",
        fasta: Any = None,
        *,
        bases: int = 1000,
        number: int = 1,
        temperature: float = 1.0,
        top_k: int = 4,
        top_p: float = 1.0,
        copies: bool = True,
        strand: str = "forward",
        context: str = "contig",
        seed: int = 0,
        workers: int = 1,
        haplotypes: Any = None,
    ) -> pd.DataFrame:
        """Go on with sequences, each base drawn from what the model expects there.

        Parameters
        ----------
        prompts
            Sequences, as in `log_likelihood`; an empty one begins with nothing. With ``fasta`` regions, as in `embed`.
        fasta
            The genome of regions; each is read behind all of its contig before it, or what ``context`` says.
        bases, number
            Length of each sequence, and how many go on from each prompt.
        temperature
            Divides the logarithms of the probabilities; 0 takes the most likely base always.
        top_k, top_p
            Draw only from this number of most likely bases, and from the fewest that together reach this probability.
        copies
            Whether the copy memory is asked while bases are drawn.
        strand
            ``forward`` goes on behind the end of a region, ``reverse`` along the other strand before its start.
        context
            As in `score_regions`.
        seed
            Begins all random numbers; a sequence depends on it, its prompt and its own number alone.
        workers
            Processes that draw the sequences of a prompt side by side.
        haplotypes
            As in `score_regions`: each region is a prompt on each haplotype of a sample, ``NAME/1`` and ``NAME/2``.
            Both draw with the random numbers of the region's own name, so that only what was read makes their sequences
            differ. A region of which a haplotype has no base is left out there, with a warning.

        Returns
        -------
        pandas.DataFrame
            A row for each prompt and behind it one for each of its sequences: name, kind (``prompt`` or
            ``generated``), prompt, bases, log_likelihood (nats, by the model, whatever the sampling), bits_per_base,
            gc, word_divergence (Jensen-Shannon divergence in bits of its words of 3 bases from the prompt's), copied
            (share of bases that the copy memory foretold from an earlier place), longest_copy_bp and sequence, which is
            empty in the row of a prompt. With ``haplotypes`` also the prompt's haplotype, haplotype_start and
            haplotype_end, and bits_difference, which is bits per base on haplotype 2 minus those on haplotype 1.

        Raises
        ------
        ConfigError
            If a setting is out of its range, the model reads tokens of several bases, the sample's haplotypes are not
            known, or pandas is not installed.
        ContigUnknown, FormatError, InputMissing
            If a region is not on the genome, or an input cannot be read.
        """
        if fasta is None and haplotypes is not None:
            raise ConfigError("haplotypes are those of regions of a genome; give fasta, or leave them out")
        if strand not in ("forward", "reverse"):
            raise ConfigError(f"strand is {strand!r}; choose forward or reverse")
        check_least(1, bases=bases, number=number, workers=workers)
        sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, seed=seed, copies=copies)
        how = Generation(
            bases=bases, number=number, sampling=sampling, reverse=strand == "reverse", context=Context.parse(context),
            workers=workers,
        )  # fmt: skip
        if fasta is None:
            return generate(self._model, None, read_sequences(prompts)[0], how)
        with opened(fasta) as genome:
            return generate(self._model, genome, prompts, how, haplotypes)

    def finetune(
        self,
        sequences: Any,
        labels: Iterable[Any] | None = None,
        *,
        fasta: Any = None,
        folder: str | os.PathLike[str] | None = None,
        split: Iterable[str] | None = None,
        test_share: float = 0.2,
        **settings: Any,
    ) -> Classifier:
        """Train a classifier of sequences on a copy of this model, and test it beside a regression on k-mers.

        Parameters
        ----------
        sequences
            As in `log_likelihood`; with ``fasta`` regions, as in `embed`.
        labels
            A class for each; None takes the column ``label`` of a frame, or the names of the regions.
        fasta
            The genome of regions.
        folder
            Where to keep the classifier, for `load_classifier` and ``titans-dna predict``; None keeps it in memory.
        split
            ``train`` or ``test`` for each; drawn at random if left out.
        test_share
            Share of each class that is tested, where there is no split.
        **settings
            ``mode`` (full, frozen, last-layers or lora), ``last_layers``, ``lora_rank``, ``epochs``, ``batch``,
            ``learning_rate``, ``weight_decay``, ``both_strands``, ``kmer_bases``, ``seed``: those of
            ``titans-dna finetune``.

        Returns
        -------
        Classifier
            With ``predict`` and the metrics on the tested examples. The model itself is not changed.

        Raises
        ------
        ConfigError
            If there are fewer than two classes, or settings are unknown or out of range.
        FormatError, InputMissing, OutputError
            If an input cannot be read, or the folder cannot be written.
        """
        from titans_dna.api.classifier import FinetuneInputs, finetune

        inputs = FinetuneInputs(sequences=sequences, labels=labels, fasta=fasta, split=split, test_share=test_share)
        return finetune(self._model, inputs, folder, settings)

    def finetune_bases(
        self,
        targets: Any,
        fasta: Any,
        holdout: Any,
        *,
        features: Iterable[str] = (),
        one_class: bool = False,
        folder: str | os.PathLike[str] | None = None,
        **settings: Any,
    ) -> BasePredictor:
        """Train a head that predicts classes or values of every base; test it beside the same head on bases alone.

        Parameters
        ----------
        targets
            Path of a BED, GTF or GFF file, with classes as names or types; or of bigWigs, whose values are learned.
        fasta
            The genome.
        holdout
            Contigs or regions to test on, as in `score_regions`; the rest is learned from.
        features
            Types of GTF and GFF that become classes; ``splice_donor`` and ``splice_acceptor`` too. By default ``exon``.
        one_class
            Take all lines of a BED as one class.
        folder
            Where to keep the head, for `load_base_predictor` and ``titans-dna predict``; None keeps it in memory.
        **settings
            ``layers``, ``window_bp``, ``bases``, ``test_bases``, ``epochs``, ``learning_rate``, ``weight_decay``,
            ``seed``: those of ``titans-dna finetune --targets``.

        Returns
        -------
        BasePredictor
            With ``predict`` and the figures on what was held out. The model itself is not changed.

        Raises
        ------
        ConfigError
            If settings are unknown or out of range, or nothing is left to learn from.
        ContigUnknown, FormatError, InputMissing, OutputError
            If an input cannot be read, or the folder cannot be written.
        """
        from titans_dna.api.base_predictor import finetune_bases

        return finetune_bases(self._model, targets, fasta, holdout, folder, (features, one_class), settings)
