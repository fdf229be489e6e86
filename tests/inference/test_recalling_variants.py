"""What a model with a copy memory says of variants, regions and embeddings is what one plain reading gives."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from inference.test_embedding_job import assert_same, content, direct, plainly
from inference.test_score_variants import brute_force, many, plain, score_alleles
from inference.test_variant_file import KILLED
from recall.sequences import patchwork

from titans_dna.errors import CheckpointError
from titans_dna.genome.interval import Interval
from titans_dna.genome.shard import Shard
from titans_dna.inference import branches, embed, lanes, score_regions
from titans_dna.inference.alleles import read_alleles
from titans_dna.inference.embed import EmbedOptions, embed_contig_regions
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.placing import place_interval
from titans_dna.inference.pooling import Pooling
from titans_dna.inference.score_regions import score_contig_regions
from titans_dna.inference.score_variants import score_strands
from titans_dna.inference.streaming import stream_bases
from titans_dna.inference.windows import Context
from titans_dna.io.embeddings.merge import merge_embeddings
from titans_dna.jobs import work_folder
from titans_dna.jobs.embeddings import Storage, embedding_attributes, plan_embeddings, write_embeddings
from titans_dna.jobs.merge_scores import merge_scores
from titans_dna.jobs.variant_scores import ScoringOptions
from titans_dna.jobs.variants import score_variant_file
from titans_dna.model.checkpoint import save_checkpoint
from titans_dna.recall import RecallForm

FORM = RecallForm(words=("1" * 8,), sample_every=(1,), index_bits=12, accepted_hits=16)
FAST = ScoringOptions(horizon_bp=30)
STRANDS = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])


@pytest.fixture(scope="module")
def make_recalling(make_model):
    """A model that believes what it recalls."""

    def make(form: RecallForm = FORM, **changes) -> SequenceModel:
        model = make_model(recall=form, **changes)
        model.backbone.trust.start.fill_(1.0)
        return model

    return make


@pytest.fixture(scope="module")
def model(make_recalling):
    return make_recalling()


@pytest.fixture(scope="module")
def deaf(model) -> SequenceModel:
    """The same weights, of which those that hear the copy memory are gone."""
    backbone = copy.deepcopy(model.backbone)
    backbone.trust = None
    return replace(model, backbone=backbone)


def letters(ids: np.ndarray) -> bytes:
    return bytes(b"ACGTN"[i] for i in ids)


@pytest.fixture(scope="module")
def sequence(random_bases) -> bytes:
    """Three copies of 150 bases, the last of them on the other strand, and what lies between."""
    ids = np.array([b"ACGT".index(base) for base in random_bases(150, 1)])
    between = [random_bases(bases, bases) for bases in (60, 75, 40)]
    return b"".join([letters(ids), between[0], letters(ids), between[1], letters(3 - ids[::-1]), between[2]])


@STRANDS
def test_a_variant_in_a_copy_is_compared_with_what_is_recalled(model, deaf, sequence, reverse):
    """At 290 to 330 of the second copy and its borders, 30 to 120 of the first, and in the inverted copy."""
    kinds = [(1, b"A"), (1, b"C"), (0, b"GATT"), (3, b""), (4, b"TG"), (0, b"A"), (12, b"")]
    alleles = [plain(at, at + n, alt) for at in (30, 210, 290, 330, 359, 470, 540) for n, alt in kinds]
    alleles += [plain(0, 1, b"T"), plain(len(sequence) - 1, len(sequence), b"G")]
    scores = score_alleles(model, sequence, alleles, horizon_bp=60, reverse=reverse)
    wanted = [brute_force(model, sequence, allele, 60, reverse) for allele in alleles]
    assert scores == pytest.approx(wanted, abs=2e-4)
    without = score_alleles(deaf, sequence, alleles, horizon_bp=60, reverse=reverse)
    moved = np.abs(scores - without)
    assert (moved > 0.5).mean() > 0.5  # what is recalled counts, in most places


@pytest.fixture(scope="module")
def patches() -> tuple[bytes, list]:
    """Copies, inverted copies, repeats and gaps, and changes in them."""
    text = letters(np.minimum(patchwork(1500, 3), 4))
    return text, many(text, 40, 5)


@pytest.fixture(scope="module", params=[False, True], ids=["forward", "reverse"])
def reread(request, model, patches) -> tuple[bool, list[float]]:
    """Scores on a strand, by reading each changed contig whole."""
    text, alleles = patches
    return request.param, [brute_force(model, text, allele, 80, request.param) for allele in alleles]


@pytest.mark.parametrize("batch", [1, 5, 32])
def test_no_place_batch_or_piece_changes_a_score(model, patches, reread, monkeypatch, batch):
    """A strand that has gone on through many pieces has not moved the states that its haplotypes leave from."""
    (text, alleles), (reverse, wanted) = patches, reread
    monkeypatch.setitem(branches.BATCH_BRANCHES, "cpu", batch)
    monkeypatch.setattr(lanes, "PIECE_TOKENS", 100)
    scores = score_alleles(model, text, alleles, horizon_bp=80, reverse=reverse)
    assert scores == pytest.approx(wanted, abs=1e-3)
    order = np.random.default_rng(batch).permutation(len(alleles))
    again = score_alleles(model, text, [alleles[i] for i in order], horizon_bp=80, reverse=reverse)
    assert again == pytest.approx(scores[order], abs=2e-4)
    alone = score_alleles(model, text, alleles[7:8], horizon_bp=80, reverse=reverse)
    assert alone[0] == pytest.approx(scores[7], abs=2e-4)


@pytest.mark.parametrize("kind", [{"block": "window"}, {"block": "mac", "segment_tokens": 24}, {"reset_tokens": 40}])
def test_every_kind_of_model_recalls(make_recalling, sequence, kind):
    model, alleles = make_recalling(**kind), many(sequence, 10, 6)
    scores = score_strands(model, sequence, alleles, horizon_bp=40)
    for column, reverse in enumerate((False, True)):
        wanted = [brute_force(model, sequence, allele, 40, reverse) for allele in alleles]
        assert scores[:, column] == pytest.approx(wanted, abs=1e-3)


def test_a_memory_with_a_horizon_is_read_before_it_forgets(make_recalling, monkeypatch):
    """A ring of 2 ** 15 tokens: haplotypes must not wait until the strand has written over what they recall."""
    model = make_recalling(replace(FORM, horizon_bases=400), layers=1, block="window")
    tape = np.random.default_rng(2).integers(0, 4, 40_000)
    for start in range(1000, 39_000, 700):
        tape[start : start + 200] = tape[start - 300 : start - 100]
    text = letters(tape)
    alleles = [plain(at, at + 1, b"ACGT"[(b"ACGT".index(text[at]) + 1) % 4 :][:1]) for at in range(1100, 39_000, 700)]
    scores = score_alleles(model, text, alleles, horizon_bp=50, reverse=False)
    monkeypatch.setitem(branches.BATCH_BRANCHES, "cpu", 1)
    monkeypatch.setattr(branches, "WAITING_BATCHES", 1)
    assert score_alleles(model, text, alleles, horizon_bp=50, reverse=False) == pytest.approx(scores, abs=1e-4)
    for row in (0, 30, len(alleles) - 1):
        assert scores[row] == pytest.approx(brute_force(model, text, alleles[row], 50, False), abs=1e-3)


REPEATED = b"GATCATCATCATCATGCGCGCGCTTAGGGGGGGCCCATATATATAGAGAGAGTTT"


def test_an_indel_in_a_repeat_has_one_score_however_it_is_placed(model, deaf, random_bases, make_fasta, make_record):
    """The repeat stands twice, so that the second one is recalled, too, where one unit is put in or left out."""
    before = random_bases(40, 1) + REPEATED + random_bases(80, 2)
    text = before + REPEATED + random_bases(30, 3)
    unit, last = len(before) + 1, len(before) + 13
    ways = [(unit, 3, b""), (last - 3, 3, b""), (unit, 0, text[unit : unit + 3]), (last, 0, text[last - 3 : last])]
    records = []
    for at, deleted, inserted in ways:  # written with the base before
        ref = text[at - 1 : at + deleted].decode()
        records.append(make_record(at, ref, ref[:1] + inserted.decode()))
    with make_fasta({"chrA": text}) as fasta:
        alleles = read_alleles(records, fasta, longest_bp=50).alleles["chrA"]
    assert len(alleles) == 4
    for reverse in (False, True):
        scores = score_alleles(model, text, alleles, horizon_bp=40, reverse=reverse)
        assert scores[0] == pytest.approx(scores[1], abs=1e-4)
        assert scores[2] == pytest.approx(scores[3], abs=1e-4)
        wanted = [brute_force(model, text, allele, 40, reverse) for allele in alleles]
        assert scores == pytest.approx(wanted, abs=2e-4)
        without = score_alleles(deaf, text, alleles, horizon_bp=40, reverse=reverse)
        assert reverse or np.abs(scores - without).min() > 0.1


@pytest.fixture(scope="module")
def genome(make_fasta, sequence):
    contigs = {f"chr{n}": letters(np.minimum(patchwork(700 + 60 * n, n), 4)) for n in (1, 2, 3)}
    with make_fasta({"chrA": sequence, **contigs}) as fasta:
        yield fasta


@pytest.fixture(scope="module")
def variants(genome, tmp_path_factory) -> Path:
    lines, random = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"], np.random.default_rng(4)
    for number in range(60):
        contig = str(random.choice(genome.contigs.names))
        at = int(random.integers(0, 500))
        ref = genome.fetch(contig, at, at + int(random.integers(1, 4))).decode()
        alt = ref[:1] + "".join(random.choice(list("ACGT"), int(random.integers(0, 3))))
        lines.append(f"{contig}\t{at + 1}\tv{number}\t{ref}\t{alt if alt != ref else '*'}\t.\t.\t.")
    path = tmp_path_factory.mktemp("variants") / "in.vcf"
    path.write_text("\n".join(lines) + "\n")
    return path


class _StopError(Exception):
    pass


def stop_regions(monkeypatch, output: Path, after: int, *arguments) -> None:
    """Score regions of a contig and stop after so many saved states."""
    with monkeypatch.context() as patch:
        stopping(patch, after)
        with pytest.raises(_StopError), work_folder.WorkFolder(output, {}, arguments[0], resume=False) as work:
            score_contig_regions(*arguments, checkpoint=work.checkpoint("part"))


def go_on(output: Path, *arguments) -> list:
    """Go on with such a run."""
    with work_folder.WorkFolder(output, {}, arguments[0], resume=True) as work:
        assert work.checkpoint("part").load() is not None
        return score_contig_regions(*arguments, checkpoint=work.checkpoint("part"))


def stopping(monkeypatch, after: int) -> list[int]:
    """Let the stream be saved whenever it can be, and fail after so many times; return the positions."""
    monkeypatch.setattr(work_folder, "SAVE_SECONDS", 0.0)
    saved: list[int] = []

    def save(self, position, state, arrays, real=work_folder.StreamCheckpoint.save):
        assert state.recall is not None
        real(self, position, state, arrays)
        saved.append(position)
        if len(saved) == after:
            raise _StopError

    monkeypatch.setattr(work_folder.StreamCheckpoint, "save", save)
    return saved


@pytest.mark.parametrize("stop", [1, 7, 20])
@pytest.mark.parametrize("horizon_bases", [0, 300])
def test_scoring_that_stops_anywhere_goes_on_to_the_same_bytes(
    make_recalling, genome, variants, tmp_path, monkeypatch, stop, horizon_bases
):
    model, output = make_recalling(replace(FORM, horizon_bases=horizon_bases)), tmp_path / "out.vcf.gz"
    monkeypatch.setattr(branches, "SETTLE_INPUTS", 72)
    score_variant_file(model, genome, variants, output, options=FAST)
    wanted = output.read_bytes()
    output.unlink()
    with monkeypatch.context() as patch:
        saved = stopping(patch, stop)
        with pytest.raises(_StopError):
            score_variant_file(model, genome, variants, output, options=FAST)
    assert len(saved) == stop
    assert list((tmp_path / "out.vcf.gz.work").glob("*.at-*.safetensors"))
    score_variant_file(model, genome, variants, output, options=FAST, resume=True)
    assert output.read_bytes() == wanted


def test_kill_9_and_resume_give_the_same_bytes(model, genome, variants, tmp_path):
    save_checkpoint(tmp_path / "toy", model.backbone, model.tokenizer.to_json())
    output = tmp_path / "out.vcf.gz"
    arguments = ["score-variants", "--model", tmp_path / "toy", "--fasta", genome.path, "--vcf", variants]
    arguments += ["--horizon", 30, "--output", output]
    command, environment = [sys.executable, "-c", KILLED, *map(str, arguments)], {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, env=environment, capture_output=True, timeout=300)
    wanted, folder = output.read_bytes(), tmp_path / "out.vcf.gz.work"
    output.unlink()
    running = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while len(list(folder.glob("*.npz"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not output.exists()
    subprocess.run([*command, "--resume"], check=True, env=environment, capture_output=True, timeout=300)
    assert output.read_bytes() == wanted


@pytest.mark.parametrize("count", [2, 5])
def test_merged_shards_of_scores_equal_one_run(model, genome, variants, tmp_path, count):
    score_variant_file(model, genome, variants, tmp_path / "one.vcf", options=FAST)
    paths = [tmp_path / f"{index}.vcf" for index in range(1, count + 1)]
    for index, path in enumerate(paths, start=1):
        score_variant_file(model, genome, variants, path, options=FAST, shard=Shard(index, count))
    merge_scores(paths[::-1], tmp_path / "all.vcf")
    one, merged = ((tmp_path / name).read_text().splitlines() for name in ("one.vcf", "all.vcf"))
    assert len(one) == len(merged)
    scored = 0
    for line, other in zip(one, merged, strict=True):
        first, second = (
            dict(part.partition("=")[::2] for part in x.rpartition("\t")[2].split(";")) for x in (line, other)
        )
        assert line.startswith("#") or first.keys() == second.keys()
        if not line.startswith("#") and "TD_LLR" in first and first["TD_LLR"] != ".":
            assert float(first["TD_LLR"]) == pytest.approx(float(second["TD_LLR"]), abs=1e-3)
            scored += 1
    assert scored > 30


@pytest.fixture(scope="module")
def spans() -> list[Interval]:
    random = np.random.default_rng(5)
    starts = random.integers(0, 560, 25).tolist()
    return [Interval("chrA", start, min(625, start + int(random.integers(1, 150)))) for start in starts]


@pytest.mark.parametrize("pieces", [4096, 50])
def test_regions_are_scored_as_one_reading_does_in_any_order(
    model, deaf, sequence, spans, log_probabilities, monkeypatch, pieces
):
    monkeypatch.setattr(score_regions, "stream_bases", partial(stream_bases, piece_tokens=pieces))
    read = log_probabilities(model, sequence)
    scores = score_contig_regions(model, sequence, spans)
    wanted = [float(read[span.start : span.end].sum()) for span in spans]
    assert [s.log_likelihood for s in scores] == pytest.approx(wanted, abs=1e-3)
    assert score_contig_regions(model, sequence, spans[::-1])[::-1] == scores
    assert [score_contig_regions(model, sequence, [span])[0] for span in spans[:4]] == scores[:4]
    without = score_contig_regions(deaf, sequence, spans)
    assert max(abs(a.bits_per_base - b.bits_per_base) for a, b in zip(scores, without, strict=True)) > 0.3


def test_regions_that_stop_anywhere_go_on_to_the_same_numbers(model, sequence, spans, tmp_path, monkeypatch):
    monkeypatch.setattr(score_regions, "stream_bases", partial(stream_bases, piece_tokens=50))
    whole = score_contig_regions(model, sequence, spans)
    for stop in (1, 6, 11):
        stop_regions(monkeypatch, tmp_path / "x.tsv", stop, model, sequence, spans)
        assert go_on(tmp_path / "x.tsv", model, sequence, spans) == whole


@pytest.fixture(scope="module")
def run(model, genome):
    """One job of embeddings from regions to file."""

    def call(path: Path, regions, options, **stored) -> None:
        storage = Storage(**stored)
        plan = plan_embeddings(
            (place_interval(genome.contigs, region) for region in regions), genome.contigs.lengths, options
        )
        attributes = embedding_attributes(model, plan, storage.shard) | {"command": "test"}
        write_embeddings(path, model, genome, plan, attributes, storage)

    return call


@pytest.fixture(scope="module")
def asked(genome) -> list[Interval]:
    random, found = np.random.default_rng(9), []
    for number in range(30):
        contig = str(random.choice(genome.contigs.names))
        start = int(random.integers(0, 550))
        found.append(Interval(contig, start, start + int(random.integers(1, 60)), "+", f"r{number}"))
    return found


CONTEXTS = pytest.mark.parametrize("context", ["contig", "region"])


@CONTEXTS
@pytest.mark.parametrize("pool", ["mean", "none"])
def test_embeddings_are_those_of_direct_calls_in_any_shard(run, model, genome, asked, tmp_path, context, pool):
    options = EmbedOptions(pooling=Pooling.parse(pool), strand="both", context=Context.parse(context))
    run(tmp_path / "one.h5", asked, options)
    found = content(tmp_path / "one.h5")["embeddings"]
    reads = {contig: genome.sequence(contig) for contig in genome.contigs.names}
    wanted = [plainly(options.pooling, direct(model, reads[r.contig], r.start, r.end, options), options) for r in asked]
    np.testing.assert_allclose(found, np.concatenate(wanted) if pool == "none" else wanted, atol=2e-4)
    for count in (2, 4):
        paths = [tmp_path / f"{count}-{index}.h5" for index in range(1, count + 1)]
        for index, path in enumerate(paths, start=1):
            run(path, asked, options, shard=Shard(index, count))
        merge_embeddings(paths[::-1], tmp_path / f"{count}.h5")
        assert_same(tmp_path / f"{count}.h5", tmp_path / "one.h5")


@CONTEXTS
def test_the_order_of_regions_changes_no_embedding(model, deaf, sequence, spans, context):
    options = EmbedOptions(strand="both", context=Context.parse(context))
    vectors = embed_contig_regions(model, sequence, spans, options)
    order = np.random.default_rng(1).permutation(len(spans))
    again = embed_contig_regions(model, sequence, [spans[i] for i in order], options)
    np.testing.assert_allclose(again, vectors[order], atol=1e-5)
    few = embed_contig_regions(model, sequence, spans, options, batch_tokens=1)
    np.testing.assert_allclose(few, vectors, atol=1e-5)
    if context == "contig":
        assert np.abs(embed_contig_regions(deaf, sequence, spans, options) - vectors).max() > 0.05


@pytest.mark.parametrize("pool", ["mean", "none"])
def test_embeddings_that_stop_on_the_way_go_on_to_the_same_bytes(run, asked, tmp_path, monkeypatch, pool):
    options = EmbedOptions(pooling=Pooling.parse(pool), strand="both")
    monkeypatch.setattr(embed, "stream_bases", partial(stream_bases, piece_tokens=48))
    run(tmp_path / "whole.h5", asked, options)
    with monkeypatch.context() as patch:
        stopping(patch, 9)
        with pytest.raises(_StopError):
            run(tmp_path / "e.h5", asked, options)
    run(tmp_path / "e.h5", asked, options, resume=True)
    assert_same(tmp_path / "e.h5", tmp_path / "whole.h5")


def test_a_checkpoint_of_another_sequence_is_refused(model, sequence, spans, tmp_path, monkeypatch):
    """The work folder names the sequence, too; the copy memory's checksum is what stands behind it."""
    monkeypatch.setattr(score_regions, "stream_bases", partial(stream_bases, piece_tokens=50))
    stop_regions(monkeypatch, tmp_path / "x.tsv", 4, model, sequence, spans)
    changed = (b"C" if sequence[:1] == b"A" else b"A") + sequence[1:]
    with pytest.raises(CheckpointError, match="not the one that the saved state had read"):
        go_on(tmp_path / "x.tsv", model, changed, spans)
