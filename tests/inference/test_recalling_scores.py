"""A model with a copy memory scores and embeds the same however it reads: from the start, in branches, resumed."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from inference.test_score_variants import brute_force, many, plain
from toy import RECALL

from titans_dna.genome.alphabet import reverse_complement
from titans_dna.genome.interval import Interval
from titans_dna.inference import branches
from titans_dna.inference.alleles import Allele
from titans_dna.inference.embed import EmbedOptions, Spans, embed_contig_regions, embed_strand
from titans_dna.inference.mutagenesis import mutate_region, predict_bases
from titans_dna.inference.pooling import Pooling
from titans_dna.inference.score_regions import score_contig_regions
from titans_dna.inference.score_variants import score_strands
from titans_dna.inference.strand import Strand, read_side_by_side
from titans_dna.inference.windows import Context
from titans_dna.jobs.work_folder import WorkFolder
from titans_dna.model.backbone import Backbone
from titans_dna.recall import RecallForm

KINDS = {"mag": {}, "window": {"block": "window"}, "two words": {"recall": RecallForm(index_bits=12, places=4)}}


@pytest.fixture(scope="module", params=KINDS)
def model(request, make_model):
    return make_model(**{"recall": RECALL, **KINDS[request.param]})


@pytest.fixture(scope="module")
def sequence(random_bases) -> bytes:
    """A stretch, its copy with a gap in front, and its inverted copy: every site has one earlier on each strand."""
    first = random_bases(160, 31)
    return first + random_bases(90, 32) + b"NNN" + first + random_bases(40, 33) + reverse_complement(first)


@contextmanager
def without_recall():
    """Let models find no place, all else being equal."""
    real = Backbone.recall

    def nothing(self, *given):
        found = real(self, *given)
        return found._replace(codes=torch.zeros_like(found.codes))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Backbone, "recall", nothing)
        yield


def sites(sequence: bytes) -> list[Allele]:
    """Return changes in the second and the third copy."""
    found = [plain(at, at + 1, b"ACGT"[b"ACGT".index(sequence[at]) - 1 :][:1]) for at in range(300, 420, 17)]
    found += [plain(330, 337, b""), plain(340, 340, b"GATTACA"), plain(255, 256, b"T"), plain(253, 256, b"")]
    found += [plain(350, 353, sequence[350:353]), plain(500, 501, b"A"), plain(510, 512, b"CCCC"), plain(0, 1, b"")]
    return found


def test_a_branch_scores_as_the_whole_haplotype_read_from_the_start(model, sequence):
    alleles = sites(sequence)
    scores = score_strands(model, sequence, alleles, horizon_bp=60)
    for column, reverse in enumerate((False, True)):
        wanted = [brute_force(model, sequence, allele, 60, reverse) for allele in alleles]
        assert scores[:, column] == pytest.approx(wanted, abs=2e-4)
    with without_recall():
        plainly = score_strands(model, sequence, alleles, horizon_bp=60)
    assert (np.abs(plainly - scores).max(0) > 0.05).all()  # the copies count, on both strands


def test_an_indel_within_a_repeat_has_one_score(model, sequence, random_bases):
    text = sequence + b"CA" * 30 + random_bases(60, 34)
    wide = Allele(
        row=0, start=len(sequence), end=len(sequence) + 2, alt=b"", first=len(sequence), last=len(sequence) + 60
    )
    moved = Allele(row=1, start=wide.start + 20, end=wide.end + 20, alt=b"", first=wide.first, last=wide.last)
    scores = score_strands(model, text, [wide, moved], horizon_bp=20)
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)
    for column, reverse in enumerate((False, True)):
        assert scores[0, column] == pytest.approx(brute_force(model, text, wide, 20, reverse), abs=2e-4)


@pytest.mark.parametrize("batch", [1, 5, 64])
def test_order_batches_and_settling_change_no_score(model, sequence, monkeypatch, batch):
    alleles = many(sequence, 40, 3) + sites(sequence)
    whole = score_strands(model, sequence, alleles, horizon_bp=50)
    order = np.random.default_rng(batch).permutation(len(alleles))
    monkeypatch.setitem(branches.BATCH_BRANCHES, "cpu", batch)
    monkeypatch.setattr(branches, "SETTLE_INPUTS", 128)
    again = score_strands(model, sequence, [alleles[row] for row in order], horizon_bp=50)
    assert again == pytest.approx(whole[order], abs=2e-4)


def test_haplotypes_leave_the_memory_of_their_strand_alone(model, sequence, monkeypatch):
    """A haplotype that is read where the strand stands must not go on in its memory: the strand would have to leave."""
    monkeypatch.setitem(branches.BATCH_BRANCHES, "cpu", 2)
    monkeypatch.setattr(branches, "WAITING_BATCHES", 1)
    seen = []
    real = branches.stream_lanes

    def watched(*given, **named):
        for piece in real(*given, **named):
            readers = [reader for _, state in piece.parts for reader in state.recall.streams]
            seen.extend((reader.memory, reader.position) for reader in readers)
            yield piece
            assert all(reader.memory.end == reader.position for reader in readers)

    monkeypatch.setattr(branches, "stream_lanes", watched)
    score_strands(model, sequence, sites(sequence), horizon_bp=40)
    assert len({id(memory) for memory, _ in seen}) == 2
    assert all(memory.parent is None for memory, _ in seen)


def test_what_waits_is_read_before_a_bounded_memory_forgets_it(make_model, random_bases):
    form = RecallForm(words=("1" * 11,), sample_every=(1,), index_bits=16, places=4, horizon_bases=500)
    model = make_model(recall=form, block="window", layers=1)
    text = random_bases(40_000, 35)
    text = text[:300] + text[:300] + text[600:]
    alleles = [plain(400, 401, b"A"), plain(420, 421, b"C"), plain(39_900, 39_901, b"A")]
    alone = [score_strands(model, text[:1000], [allele], horizon_bp=40, strands=(False,))[0] for allele in alleles[:2]]
    together = score_strands(model, text, alleles, horizon_bp=40, strands=(False,))
    assert together[:2] == pytest.approx(np.array(alone), abs=1e-4)


class _StopError(Exception):
    pass


class Stopping:
    """A checkpoint of a work folder that saves whenever it can, and stops after a number of times."""

    def __init__(self, folder: WorkFolder, stop: int) -> None:
        self.checkpoint, self.left = folder.checkpoint("part"), stop
        self.load = self.checkpoint.load

    def due(self) -> bool:
        return True

    def save(self, *given) -> None:
        self.checkpoint.save(*given)
        self.left -= 1
        if not self.left:
            raise _StopError


@pytest.fixture(scope="module")
def long_sequence(random_bases) -> bytes:
    first = random_bases(3000, 41)
    return first + b"N" * 7 + random_bases(1500, 42) + first[:2500] + reverse_complement(first) + random_bases(400, 43)


def stopped_and_resumed(model, tmp_path, work, stop: int) -> list[np.ndarray]:
    """Return what ``work(checkpoint)`` gives without a break, and with one."""
    with WorkFolder(tmp_path / "whole", {}, model, resume=False) as folder:
        whole = work(Stopping(folder, 10**9))
    with pytest.raises(_StopError), WorkFolder(tmp_path / "out", {}, model, resume=False) as folder:
        work(Stopping(folder, stop))
    with WorkFolder(tmp_path / "out", {}, model, resume=True) as folder:
        checkpoint = Stopping(folder, 10**9)
        position, state, _ = checkpoint.load()
        assert position > 0
        assert state.recall.checksums
        return [whole, work(checkpoint)]


@pytest.mark.parametrize("stop", [1, 3])
def test_scores_go_on_from_a_checkpoint_to_the_same_bytes(model, long_sequence, tmp_path, monkeypatch, stop):
    monkeypatch.setattr(branches, "SETTLE_INPUTS", 1024)
    alleles = many(long_sequence, 60, 5)
    one, two = stopped_and_resumed(
        model, tmp_path,
        lambda checkpoint: score_strands(model, long_sequence, alleles, horizon_bp=40, checkpoint=checkpoint), stop,
    )  # fmt: skip
    assert one.tobytes() == two.tobytes()


def test_regions_embeddings_and_predictions_go_on_to_the_same_bytes(model, long_sequence, tmp_path):
    regions = [Interval("c", 5000, 5300), Interval("c", 100, 900), Interval("c", 8000, 9500)]

    def scored(checkpoint) -> np.ndarray:
        rows = score_contig_regions(model, long_sequence, regions, checkpoint=checkpoint)
        return np.array([[row.log_likelihood, row.memory_surprise, row.entropy_bits] for row in rows])

    one, two = stopped_and_resumed(model, tmp_path, scored, 1)
    assert one.tobytes() == two.tobytes()
    with without_recall():
        assert np.abs(scored(None)[:, 0] - one[:, 0]).max() > 1

    def predicted(checkpoint) -> np.ndarray:
        predict_bases(model, long_sequence, out, reverse=True, checkpoint=checkpoint)
        return out.copy()

    out = np.full((4, len(long_sequence)), np.nan, np.float32)
    (tmp_path / "p").mkdir()
    one, two = stopped_and_resumed(model, tmp_path / "p", predicted, 2)
    assert one.tobytes() == two.tobytes()
    (tmp_path / "e").mkdir()
    spans = Spans(
        starts=np.array([r.start for r in regions]), ends=np.array([r.end for r in regions]), targets=np.arange(3)
    )
    found: dict[int, np.ndarray] = {}

    def embedded(checkpoint) -> np.ndarray:
        emitted = embed_strand(
            model, long_sequence, spans, EmbedOptions(),
            reverse=False, checkpoint=checkpoint,
        )  # fmt: skip
        for numbers, values in emitted:
            found.update(zip(np.asarray(numbers).tolist(), values, strict=True))
        return np.stack([found[number] for number in range(3)])

    one, two = stopped_and_resumed(model, tmp_path / "e", embedded, 1)
    assert one.tobytes() == two.tobytes()


def test_a_checkpoint_of_another_sequence_is_refused(model, long_sequence, random_bases, tmp_path):
    from titans_dna.errors import CheckpointError

    def work(text: bytes, folder: WorkFolder, stop: int) -> None:
        score_contig_regions(model, text, [Interval("c", 0, 9000)], checkpoint=Stopping(folder, stop))

    with pytest.raises(_StopError), WorkFolder(tmp_path / "out", {}, model, resume=False) as folder:
        work(long_sequence, folder, 1)
    other = random_bases(1, 50) + b"A" + long_sequence[2:]
    with (
        pytest.raises(CheckpointError, match="not the one that the saved state had read"),
        WorkFolder(tmp_path / "out", {}, model, resume=True) as folder,
    ):
        work(other, folder, 9)


def test_regions_do_not_depend_on_their_order(model, sequence):
    regions = [Interval("c", start, start + size) for start, size in ((300, 60), (10, 200), (255, 5), (420, 100))]
    one = score_contig_regions(model, sequence, regions)
    two = score_contig_regions(model, sequence, regions[::-1])[::-1]
    alone = [score_contig_regions(model, sequence, [region])[0] for region in regions]
    assert repr(one) == repr(two) == repr(alone)


@pytest.mark.parametrize("context", ["contig", "region"])
def test_embeddings_depend_on_no_order_and_no_batch(model, sequence, context):
    regions = [Interval("c", start, start + size) for start, size in ((300, 150), (0, 250), (255, 9), (380, 170))]
    options = EmbedOptions(
        pooling=Pooling(kind="mean"), layers=("1", "final"), strand="both", context=Context.parse(context)
    )
    whole = embed_contig_regions(model, sequence, regions, options)
    for batch_tokens in (1, 400, 4000):
        again = embed_contig_regions(model, sequence, regions[::-1], options, batch_tokens=batch_tokens)[::-1]
        assert again == pytest.approx(whole, abs=1e-5)
    with without_recall():
        plainly = embed_contig_regions(model, sequence, regions, options)
    assert np.abs(plainly - whole).max() > 1e-3


def test_strands_side_by_side_recall_as_alone(model, sequence, random_bases):
    strands = [
        Strand.of(text, model.tokenizer, reverse=reverse)
        for text, reverse in ((sequence, False), (sequence[100:], True), (random_bases(30, 3), False))
    ]
    _, together = read_side_by_side(model, strands)
    for row, strand in enumerate(strands):
        _, alone = read_side_by_side(model, [strand])
        torch.testing.assert_close(together.hidden[row, : alone.hidden.shape[1]], alone.hidden[0], rtol=0, atol=1e-4)


def test_mutagenesis_equals_whole_haplotypes(model, sequence):
    effects = mutate_region(model, sequence, Interval("c", 330, 333), horizon_bp=30)
    for row, column in ((0, 0), (1, 2), (2, 3)):
        allele = plain(330 + row, 331 + row, b"ACGT"[column : column + 1])
        wanted = [brute_force(model, sequence, allele, 30, reverse) for reverse in (False, True)]
        assert effects.strands[row, column] == pytest.approx(wanted, abs=2e-4)
