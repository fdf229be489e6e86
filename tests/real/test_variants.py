"""Real variant files, and the same answers from other programs."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from collections import Counter

import numpy as np
import pysam
import pytest

from titans_dna.inference.alleles import read_alleles
from titans_dna.inference.score_variants import score_strands
from titans_dna.io.sequence.fasta import open_fasta
from titans_dna.io.variants.vcf import read_variants
from titans_dna.jobs.variant_scores import ScoringOptions
from titans_dna.jobs.variants import score_variant_file

pytestmark = pytest.mark.real


def test_all_of_1000_genomes_on_a_megabase_is_placed(shared_data):
    """28,998 records, indels and multi-allelic ones among them; every one has an outcome, and bcftools agrees."""
    human = shared_data / "human"
    with open_fasta(human / "hg19_chr20_1Mb.fa.gz") as fasta:
        with read_variants(human / "hg19_chr20_1Mb.1000G.vcf.gz") as reader:
            table = read_alleles(reader, fasta, longest_bp=1000)
        assert len(table.rows_per_record) == 28_998
        assert len(table.outcomes) == sum(table.rows_per_record) > 28_998
        counts = Counter(map(str, table.outcomes))
        assert counts["ref_mismatch"] == counts["contig_unknown"] == counts["malformed"] == 0
        assert counts["scored"] == len(table.alleles["z"]) > 28_500
        # 15 <CN0> with intervals, 2 <CN2>, and 7 <INS:ME:ALU> without their bases
        assert (counts["imprecise"], counts["no_sequence"], counts["symbolic"]) == (17, 7, 0)
        for allele in table.alleles["z"][::97]:
            assert allele.first <= allele.start <= allele.end <= allele.last
            if allele.alt and allele.end > allele.start:
                continue
            # shifting an indel to the right end of its span gives the same haplotype
            shift = allele.last - max(allele.end, allele.start)
            low, high = allele.first - 1, allele.last + 1
            text = fasta.fetch("z", low, high).upper()
            left = text[: allele.start - low] + allele.alt + text[allele.end - low :]
            if allele.alt:
                turn = shift % len(allele.alt)
                moved = allele.alt[turn:] + allele.alt[:turn]
                right = text[: allele.start + shift - low] + moved + text[allele.end + shift - low :]
            else:
                right = text[: allele.start + shift - low] + text[allele.end + shift - low :]
            assert left == right


def test_real_indels_score_the_same_however_they_are_written(model, shared_data, tmp_path):
    """Two more bases of padding on either side change no score."""
    human = shared_data / "human"
    with read_variants(human / "hg19_chr20_1Mb.1000G.vcf.gz") as reader:
        lines = [*reader.header.lines, "\t".join(reader.header.columns[:8])]
        indels = [r for r in reader if any(a.isalpha() and len(a) != len(r.ref) for a in r.alts)][:20]
    base = indels[0].position - 200
    records = [r._replace(position=r.position - base) for r in indels if r.position - base < 12_000]
    with open_fasta(human / "hg19_chr20_1Mb.fa.gz") as fasta:
        sequence = fasta.fetch("z", base, base + records[-1].position + 200)
    (tmp_path / "z.fa").write_bytes(b">z\n" + sequence + b"\n")
    assert len(records) > 5
    padded = []
    for record in records:  # two more bases of padding on either side
        start, end = record.position - 3, record.position - 1 + len(record.ref) + 2
        left, right = sequence[start : start + 2].decode(), sequence[end - 2 : end].decode()
        alts = ",".join(left + alt + right for alt in record.alts)
        padded.append(f"z\t{start + 1}\t.\t{left}{record.ref}{right}\t{alts}\t.\t.\t.")
    plain = ["\t".join(["z", str(r.position), ".", r.ref, ",".join(r.alts), ".", ".", "."]) for r in records]
    scores = []
    with open_fasta(tmp_path / "z.fa") as fasta:
        for number, rows in enumerate((plain, padded)):
            path = tmp_path / f"{number}.vcf"
            path.write_text("\n".join([*lines, *rows]) + "\n")
            with read_variants(path) as reader:
                table = read_alleles(reader, fasta, longest_bp=1000)
            assert set(map(str, table.outcomes)) <= {"scored", "imprecise", "no_sequence"}
            scores.append(score_strands(model, sequence, table.alleles["z"], horizon_bp=32))
    assert len(scores[0]) == len(scores[1]) > 5
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)


def test_a_scored_file_is_read_by_bcftools_and_cyvcf2(model, shared_data, tmp_path):
    human, size = shared_data / "human", 5000
    with open_fasta(human / "hg19_chr20_1Mb.fa.gz") as fasta:
        (tmp_path / "z.fa").write_bytes(b">z\n" + fasta.fetch("z", 0, size) + b"\n")
    with read_variants(human / "hg19_chr20_1Mb.1000G.vcf.gz") as reader:
        head = [*reader.header.lines, "\t".join(reader.header.columns)]
        rows = [record.text for record in reader if record.position + len(record.ref) < size]
    (tmp_path / "in.vcf").write_text("\n".join([*head, *rows]) + "\n")
    output = tmp_path / "out.vcf.gz"
    with open_fasta(tmp_path / "z.fa") as fasta:
        counts = score_variant_file(model, fasta, tmp_path / "in.vcf", output, options=ScoringOptions(horizon_bp=16))
    with pysam.VariantFile(str(output)) as vcf:
        first = [(record.pos, record.info["TD_LLR"]) for record in vcf]
    assert len(first) == len(rows) > 100
    assert sum(len(values) for _, values in first) == sum(counts.values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import cyvcf2

        second = [(v.POS, v.INFO["TD_LLR"]) for v in cyvcf2.VCF(str(output))]
    for (position, values), (other, found) in zip(first, second, strict=True):
        assert position == other
        assert np.atleast_1d(np.array(found, float)) == pytest.approx(np.array(values, float), nan_ok=True)
    if shutil.which("bcftools") is None:
        pytest.skip("bcftools is not installed")
    done = subprocess.run(["bcftools", "view", "-H", str(output), "z:1-4000"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == sum(position <= 4000 for position, _ in first)
