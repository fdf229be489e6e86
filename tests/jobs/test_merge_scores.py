"""Shards that do not fit together are refused, and the one that differs is named."""

from __future__ import annotations

import pytest

from titans_dna.errors import FormatError
from titans_dna.io.tables.score_table import Column, ScoreTableWriter
from titans_dna.io.variants.scored_vcf import OURS
from titans_dna.jobs.merge_scores import merge_scores


def write_table(path, shard: int, extra: str):
    columns = [Column("contig", "text"), Column("llr", "score")] + ([Column(extra, "score")] if extra else [])
    with ScoreTableWriter(path, columns, {"shard": f"{shard}/3", "rows": f"3:{shard - 1}-{shard}"}) as writer:
        writer.write({"contig": "chr1", "llr": 0.5})
    return path


def write_vcf(path, shard: int, sample: str):
    lines = ["##fileformat=VCFv4.2", f"{OURS}shard={shard}/3", f"{OURS}rows=3:{shard - 1}-{shard}"]
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", *(["FORMAT", sample] if sample else [])]
    row = ["chr1", str(shard), ".", "A", "C", ".", ".", ".", *(["GT", "0/1"] if sample else [])]
    path.write_text("\n".join([*lines, "\t".join(columns), "\t".join(row), ""]))
    return path


@pytest.mark.parametrize(
    ("write", "suffix", "what"), [(write_table, ".tsv", "columns"), (write_vcf, ".vcf", "samples")]
)
def test_the_shard_that_differs_is_named(tmp_path, write, suffix, what):
    paths = [write(tmp_path / f"{n}{suffix}", n, "other" if n == 2 else "") for n in (1, 2, 3)]
    with pytest.raises(FormatError, match=rf"/2\{suffix}: its {what} differ from those of 1\{suffix}\."):
        merge_scores(paths, tmp_path / f"all{suffix}")
