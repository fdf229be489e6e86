"""The main job on real genomes, a small piece of each."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pysam
import pytest

from titans_dna.cli.regions import place_regions
from titans_dna.inference.alleles import read_alleles
from titans_dna.inference.embed import embed_contig_regions
from titans_dna.inference.streaming import stream_bases
from titans_dna.io.sequence.fasta import open_fasta
from titans_dna.io.variants.vcf import read_variants
from titans_dna.jobs.variant_scores import ScoringOptions
from titans_dna.jobs.variants import score_variant_file

pytestmark = pytest.mark.real


def test_a_few_steps_on_yeast_learn_something(model_folder):
    record = json.loads((model_folder / "training.json").read_text())
    assert (record["train_contigs"], record["holdout_contigs"]) == (["IV"], ["I"])
    with (model_folder / "log.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    first, last = float(rows[0]["bits_per_base"]), float(rows[-1]["bits_per_base"])
    assert rows[-1]["split"] == "validation"
    assert last < 1.995 < first  # the composition of yeast alone gives 1.96


def test_every_exon_of_yeast_is_placed_by_its_alias(yeast, shared_data):
    with open_fasta(yeast) as fasta:
        placed = place_regions(fasta, shared_data / "genomes/yeast_sacCer3.gtf.gz", ())
        assert len(placed) > 7000
        assert Counter(region.outcome for region in placed) == {"ok": len(placed)}
        assert {region.contig for region in placed} == set(fasta.contigs.names)
        assert {region.asked.contig for region in placed} == {
            "chrM" if name == "Mito" else f"chr{name}" for name in fasta.contigs.names
        }


def test_exons_of_the_smallest_contig_are_embedded(model, yeast, shared_data):
    with open_fasta(yeast) as fasta:
        placed = place_regions(fasta, shared_data / "genomes/yeast_sacCer3.gtf.gz", ())
        placed = [region for region in placed if region.contig == "Mito"]
        regions = [region.placed for region in placed]
        assert {region.asked.contig for region in placed} == {"chrM"}
        vectors = embed_contig_regions(model, fasta.sequence("Mito"), regions)
    assert vectors.shape == (61, 16)
    assert np.isfinite(vectors).all()
    assert len(np.unique(vectors, axis=0)) == len({(region.start, region.end) for region in regions})


def test_all_brca1_variants_fit_and_a_slice_is_scored(model, shared_data, tmp_path):
    human = shared_data / "human"
    with open_fasta(human / "hg19_brca1_region.fa") as fasta:
        with read_variants(human / "hg19_brca1_sge.vcf") as reader:
            table = read_alleles(reader, fasta, longest_bp=100)
        assert Counter(str(outcome) for outcome in table.outcomes) == {"scored": 3893}
        sequence = fasta.fetch("brca1_region", 90_000, 100_000)
    # the same variants on a piece of the region, moved to its coordinates
    lines = (human / "hg19_brca1_sge.vcf").read_text().splitlines()
    head = [line for line in lines if line.startswith("#") and not line.startswith("##contig")]
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    rows = [row for row in rows if 97_000 < int(row[1]) <= 98_000][:40]
    assert len(rows) == 40
    moved = ["\t".join([row[0], str(int(row[1]) - 90_000), *row[2:]]) for row in rows]
    (tmp_path / "piece.fa").write_bytes(b">brca1_region\n" + sequence + b"\n")
    (tmp_path / "piece.vcf").write_text("\n".join([*head, *moved]) + "\n")
    with open_fasta(tmp_path / "piece.fa") as fasta:
        counts = score_variant_file(
            model, fasta, tmp_path / "piece.vcf", tmp_path / "out.vcf.gz", options=ScoringOptions(horizon_bp=32)
        )
    assert counts == {"scored": 40}
    with pysam.VariantFile(str(tmp_path / "out.vcf.gz")) as vcf:
        scores = [record.info["TD_LLR"][0] for record in vcf]
    assert np.isfinite(scores).all()
    assert len({round(score, 5) for score in scores}) > 30


def test_every_site_of_1000_genomes_has_an_outcome(shared_data):
    human = shared_data / "human"
    with (
        open_fasta(human / "hg19_chr22_1-22000000.fa.gz") as fasta,
        read_variants(human / "hg19_chr22.1000G_sites.vcf.gz") as reader,
    ):
        table = read_alleles(reader, fasta, longest_bp=1000)
    counts = Counter(str(outcome) for outcome in table.outcomes)
    assert counts["ref_mismatch"] == counts["contig_unknown"] == counts["malformed"] == 0
    assert sum(counts.values()) == sum(table.rows_per_record)
    assert counts["scored"] > 2000


def test_any_cut_of_ecoli_gives_the_same_log_probabilities(model, shared_data):
    with open_fasta(shared_data / "genomes/ecoli_k12_NC_000913.3.fna.gz") as fasta:
        (name,) = fasta.contigs.names
        ids = model.tokenizer.encode(fasta.fetch(name, 1_000_000, 1_012_000))
    whole = np.concatenate([p.log_probabilities for p in stream_bases(model.backbone, ids, model.bos)])
    for cuts in ([1], [63, 64, 65, 5000], [4096, 4097, 11_999, 12_000]):
        parts = stream_bases(model.backbone, ids, model.bos, cuts=cuts, piece_tokens=3001)
        assert np.abs(np.concatenate([p.log_probabilities for p in parts]) - whole).max() < 1e-5


MEMORY = """
import resource, sys
from pathlib import Path
from titans_dna.inference.model import load_model
from titans_dna.inference.streaming import stream_bases
from titans_dna.io.sequence.fasta import open_fasta
model = load_model(Path(sys.argv[1]), "cpu")
bases, first = int(sys.argv[3]), int(sys.argv[4])
with open_fasta(sys.argv[2]) as fasta:
    ids = model.tokenizer.encode(fasta.letters(fasta.contigs.names[0], 0, bases))
early = 0
for piece in stream_bases(model.backbone, ids, model.bos, hidden=True):
    if not early and piece.next_input >= first:
        early = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(len(ids), early, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.parametrize(
    ("bases", "first"),
    [(400_000, 50_000), pytest.param(4_641_652, 500_000, marks=pytest.mark.slow)],
    ids=["a piece", "all of it"],
)
def test_ecoli_is_read_at_constant_memory(model_folder, shared_data, bases, first):
    """Peak memory of the pass within 60 MB of that of its beginning."""
    path: Path = shared_data / "genomes/ecoli_k12_NC_000913.3.fna.gz"
    command = [sys.executable, "-c", MEMORY, model_folder, path, bases, first]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=500, check=True)
    read, early, peak = map(int, done.stdout.split())
    assert read == bases
    assert 0 < early <= peak < early + 60 * 1024  # kilobytes
