from __future__ import annotations

import os
import random
from dataclasses import replace

import numpy as np
import pysam
import pytest

from titans_dna.errors import ContigUnknown, FormatError, InputMissing, ReferenceMismatch
from titans_dna.genome import Interval, reverse_complement
from titans_dna.io import Genome, open_fasta
from titans_dna.io.sequence.bam import ReadFilter, open_reads
from titans_dna.io.sequence.consensus import ConsensusOptions, SampleGenome, run_consensus

GENERATOR = random.Random(11)
REFERENCE = "".join(GENERATOR.choices("ACGT", k=3000))
SNV, DELETED, INSERTED = 1000, (1200, 1203), 1400  # what the sample has; 0-based


def sample_reads():
    """Reads of 100 bases every 5, over 500 to 2000, with the sample's variants in their alignments."""
    other = "ACGT"[("ACGT".index(REFERENCE[SNV]) + 1) % 4]
    for number, start in enumerate(range(500, 1900, 5)):
        columns, cigar = [], []
        for at in range(start, start + 100):
            if DELETED[0] <= at < DELETED[1] and DELETED[0] > start + 3 and DELETED[1] < start + 97:
                cigar.append(2)
                continue
            columns.append(other if at == SNV else REFERENCE[at])
            cigar.append(0)
            if at == INSERTED and start + 3 < at < start + 97:
                columns.append("GG")
                cigar.extend([1, 1])
        runs = [(cigar[0], 0)]
        for operation in cigar:
            runs = [*runs[:-1], (operation, runs[-1][1] + 1)] if runs[-1][0] == operation else [*runs, (operation, 1)]
        yield number, start, "".join(columns), runs


def write_bam(path, mode="wb", reference=None, *, ordered=True, format_options=()):
    header = {
        "HD": {"VN": "1.6", "SO": "coordinate" if ordered else "unsorted"},
        "SQ": [{"SN": "chr1", "LN": 3000}, {"SN": "chr2", "LN": 50}],
    }
    with pysam.AlignmentFile(
        str(path), mode, header=header, reference_filename=reference, format_options=format_options
    ) as out:
        made = []
        for number, start, sequence, runs in sample_reads():
            read = pysam.AlignedSegment(out.header)
            read.query_name, read.reference_id, read.reference_start = f"r{number}", 0, start
            read.query_sequence, read.cigartuples, read.mapping_quality = sequence, runs, 60
            read.query_qualities = pysam.qualitystring_to_array("I" * len(sequence))
            read.flag = 16 if number % 2 else 0
            made.append(read)
        made[3].flag |= 1024
        made[4].mapping_quality = 5
        made[5].cigartuples, made[5].flag = [(4, 10), (0, 90)], 0
        made[5].reference_start = 535
        for read in sorted(made, key=lambda r: r.reference_start) if ordered else reversed(made):
            out.write(read)
    return path


@pytest.fixture
def genome(write):
    return open_fasta(write("ref.fa", f">1\n{REFERENCE}\n>chr2\n{'ACGTA' * 10}\n"))


def test_reads_of_a_region_with_filters_orientation_and_clipping(tmp_path):
    with open_reads(write_bam(tmp_path / "a.bam")) as reads:
        region = Interval("chr1", 500, 560)
        found = {read.name: read for read in reads.reads(region)}
        assert "r3" not in found, "a duplicate"
        assert reads.left_out == {"duplicate": 1}
        assert "r3" in {r.name for r in reads.reads(region, keep=ReadFilter(duplicates=True))}
        assert "r4" in found
        assert "r4" not in {r.name for r in reads.reads(region, keep=ReadFilter(min_mapping_quality=20))}
        first = found["r1"]
        assert (first.start, first.end, first.strand, first.mapping_quality) == (505, 605, "-", 60)
        assert first.sequence == REFERENCE[505:605].encode()
        turned = {r.name: r for r in reads.reads(region, as_sequenced=True)}
        assert turned["r1"].sequence == reverse_complement(first.sequence)
        assert turned["r0"].sequence == found["r0"].sequence
        assert len(found["r5"].sequence) == 90
        assert len({r.name: r for r in reads.reads(region, clipped=True)}["r5"].sequence) == 100
        assert {r.name for r in reads.reads(Interval("1", 500, 560))} == set(found), "an alias"
        assert list(reads.reads(Interval("chr1", 700, 700))) == []
        with pytest.raises(ContigUnknown):
            list(reads.reads(Interval("chr9", 0, 5)))


def test_a_sample_genome_has_its_variants_in_the_references_coordinates(tmp_path, genome):
    with SampleGenome(genome, open_reads(write_bam(tmp_path / "a.bam"))) as sample:
        assert isinstance(sample, Genome)
        assert isinstance(genome, Genome)
        sequence = sample.sequence("1")
        assert len(sequence) == 3000
        expected = list(REFERENCE)
        expected[SNV] = "ACGT"[("ACGT".index(REFERENCE[SNV]) + 1) % 4]
        expected[DELETED[0] : DELETED[1]] = "NNN"
        differing = [i for i in range(3000) if chr(sequence[i]) != expected[i]]
        assert differing == []
        assert sample.fetch("chr1", 990, 1010) == sequence[990:1010]
        assert sample.fetch("1", -5, 3) == sequence[:3]
        assert sample.letters("1", 5, 9).tobytes() == sequence[5:9]
        assert sample.md5("1") != genome.md5("1")
        assert sample.sequence("chr2") == genome.sequence("chr2")
        assert sample.losses["deleted_bases"] == 3
        assert sample.losses["called"] + sample.losses["not_called"] + 3 == 3050
        before = sample.losses
        sample._tile.cache_clear()  # a tile that is called again counts once
        sample.sequence("1")
        assert sample.losses == before
        assert sample.contigs.names == genome.contigs.names


def test_where_reads_do_not_cover_n_can_stand(tmp_path, genome):
    with SampleGenome(genome, open_reads(write_bam(tmp_path / "a.bam")), fill="n") as sample:
        sequence = sample.sequence("1")
        assert set(sequence[:500]) == {ord("N")}
        assert sequence[600:700].decode() == REFERENCE[600:700]


def test_unsorted_sam_and_missing_or_old_indexes_are_mended_in_the_cache(tmp_path, genome, caplog):
    expected = None
    paths = [
        write_bam(tmp_path / "a.bam"),
        write_bam(tmp_path / "b.sam", "w"),
        write_bam(tmp_path / "c.bam", ordered=False),
    ]
    indexed = write_bam(tmp_path / "d.bam")
    pysam.index(str(indexed))
    os.utime(f"{indexed}.bai", (1, 1))
    before = sorted(tmp_path.iterdir())
    for path in [*paths, indexed]:
        with open_reads(path) as reads:
            found = sorted(r.name for r in reads.reads(Interval("chr1", 900, 1100)))
            expected = expected or found
            assert found == expected, path
    assert "is older than" in caplog.text
    assert sorted(tmp_path.iterdir()) == before


def test_cram_reads_with_its_reference_and_with_no_other(tmp_path, write, genome):
    plain = write("chr.fa", f">chr1\n{REFERENCE}\n>chr2\n{'ACGTA' * 10}\n")
    path = write_bam(tmp_path / "a.cram", "wc", str(plain))
    plain.with_name("chr.fa.fai").unlink(missing_ok=True)
    with pytest.raises(InputMissing, match="CRAM"):
        open_reads(path)
    packed = write("chr.fa.gz", plain.read_text())
    before = sorted(tmp_path.iterdir())
    for source in (plain, packed):
        with open_fasta(source) as fasta, open_reads(path, fasta) as reads:
            assert {r.name: r for r in reads.reads(Interval("chr1", 500, 510))}["r1"].sequence == REFERENCE[
                505:605
            ].encode()
            assert chr(SampleGenome(fasta, reads).fetch("chr1", SNV, SNV + 1)[0]) != REFERENCE[SNV]
            assert SampleGenome(fasta, reads, fill="n").fetch("chr1", 0, 5) == b"NNNNN"
    assert sorted(tmp_path.iterdir()) == before
    changed = write("x.fa", f">chr1\n{'T' + REFERENCE[1:]}\n>chr2\n{'ACGTA' * 10}\n")
    with open_fasta(changed) as fasta, pytest.raises(ReferenceMismatch, match="another MD5"):
        open_reads(path, fasta)
    shorter = write("y.fa", ">chr1\nACGT\n")
    with open_fasta(shorter) as fasta, pytest.raises(ReferenceMismatch, match="3,000 bases"):
        open_reads(path, fasta)


@pytest.mark.parametrize("version", ["2.1", "3.0", "3.1"])
def test_a_cram_that_is_cut_between_two_containers_is_refused(tmp_path, write, version):
    plain = write("chr.fa", f">chr1\n{REFERENCE}\n>chr2\n{'ACGTA' * 10}\n")
    options = [f"version={version}".encode(), b"seqs_per_slice=100"]
    path = write_bam(tmp_path / "a.cram", "wc", str(plain), format_options=options)
    whole = path.read_bytes()
    with open_fasta(plain) as fasta:
        with open_reads(path, fasta) as reads:
            assert sum(1 for _ in reads.reads(Interval("chr1", 0, 3000))) == 279
        for cut in (path.stat().st_size - (30 if version == "2.1" else 38), 30):
            path.write_bytes(whole[:cut])
            with pytest.raises(FormatError, match="lacks the container that ends a CRAM"):
                open_reads(path, fasta)


@pytest.mark.parametrize("header", ["", "@SQ\tSN:chr2\tLN:50\n"])
def test_a_sam_whose_reads_lie_on_a_contig_without_sq_line_is_refused(write, header):
    path = write("a.sam", header + "r1\t0\tchr1\t5\t60\t4M\t*\t0\t0\tACGT\tIIII\n")
    with pytest.raises(FormatError, match=r"a\.sam:\d: a read lies on 'chr1', which no @SQ line declares"):
        open_reads(path)


def test_reads_of_another_genome_are_refused(tmp_path, write):
    path = write_bam(tmp_path / "a.bam")
    for text, what in [(">1\nACGT\n", "3,000 bases"), (">other\nACGT\n", "shares no contig")]:
        fasta, reads = open_fasta(write("o.fa", text)), open_reads(path)
        with pytest.raises(ReferenceMismatch, match=what):
            SampleGenome(fasta, reads)
        fasta.close()
        reads.close()


def test_what_is_no_alignment_file_is_refused_in_one_line(write, tmp_path):
    with pytest.raises(InputMissing):
        open_reads(tmp_path / "none.bam")
    for name, content in [
        ("a.bam", b"x" * 500),
        ("b.bam", b""),
        ("c.bam", b"\x1f\x8b\x08\x00x"),
        ("d.sam", b"@SQ\tSN:a\n"),
    ]:
        with pytest.raises(FormatError) as caught:
            open_reads(write(name, content))
        assert "\n" not in str(caught.value)
    path = write_bam(tmp_path / "cut.bam")
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(FormatError), open_reads(path) as reads:
        list(reads.reads(Interval("chr1", 0, 3000)))


def test_a_file_without_contigs_has_no_aligned_reads_and_says_so(write, genome, caplog):
    reads = open_reads(write("u.sam", "r1\t4\t*\t0\t0\t*\t*\t0\t0\tACGT\tIIII\n"))
    assert "none of its reads is aligned" in caplog.text
    assert len(reads.contigs) == 0
    with pytest.raises(ContigUnknown):
        list(reads.reads(Interval("chr1", 0, 5)))
    with pytest.raises(ReferenceMismatch, match="shares no contig"):
        SampleGenome(genome, reads)
    reads.close()


@pytest.mark.real
def test_a_real_sample_reads_and_calls_as_samtools_does(shared_data):
    path = shared_data / "reads" / "NA12878.20.21.bam"
    with open_reads(path) as reads:
        region = Interval("20", 10_000_000, 10_002_000)
        text = run_consensus(reads, region, ConsensusOptions(), "-a")
        assert len(text) > 1900
        assert text.count(b"N") < 200


PIECE = "human_g1k_v37.20.21.10M-10M200k.fasta"
FIRST = 9_999_999  # 0-based place of the piece's first base on either chromosome: where its reads match it


@pytest.fixture(scope="module")
def real_cram(shared_data, tmp_path_factory):
    """The real reads as CRAM, and their reference up to the end of the piece, N where the piece does not reach."""
    folder = tmp_path_factory.mktemp("real")
    with open_fasta(shared_data / "reads" / PIECE) as piece:
        sequences = {name: b"N" * FIRST + piece.sequence(name) for name in piece.contigs}
    fasta = folder / "b37.fa"
    fasta.write_bytes(b"".join(b">%b\n%b\n" % (name.encode(), text) for name, text in sequences.items()))
    with pysam.AlignmentFile(str(shared_data / "reads" / "NA12878.20.21.bam")) as source:
        header = source.header.to_dict()
        header["SQ"] = [{"SN": name, "LN": len(text)} for name, text in sequences.items()]
        shorter = pysam.AlignmentHeader.from_dict(header)
        with pysam.AlignmentFile(str(folder / "real.bam"), "wb", header=shorter) as target:
            for record in source.fetch(until_eof=True):
                target.write(pysam.AlignedSegment.from_dict(record.to_dict(), shorter))
    pysam.view("-C", "-T", str(fasta), "-o", str(folder / "real.cram"), str(folder / "real.bam"), catch_stdout=False)
    return folder / "real.cram", fasta


@pytest.mark.real
def test_real_reads_are_the_same_from_bam_and_from_cram(shared_data, real_cram):
    cram, fasta = real_cram
    assert "M5:" in pysam.view("-H", str(cram))
    whole = [Interval(name, 9_999_000, 10_010_000) for name in ("20", "21")]
    every = ReadFilter(duplicates=True, secondary=True, quality_failed=True)
    with open_fasta(fasta) as reference, open_reads(cram, reference) as reads:
        with open_reads(shared_data / "reads" / "NA12878.20.21.bam") as bam:
            for region in whole:
                assert list(reads.reads(region)) == list(bam.reads(region))
                assert reads.left_out["duplicate"] == bam.left_out["duplicate"] > 0
                known = replace(region, start=FIRST + 100)  # a CRAM's NM tags are told anew, of N too
                called = [run_consensus(source, known, ConsensusOptions(), "-a") for source in (reads, bam)]
                assert called[0] == called[1]
            count = sum(1 for region in whole for _ in reads.reads(region, keep=every, clipped=True))
        assert count == 3616 + 6724  # all that are mapped
        with SampleGenome(reference, reads, fill="n") as sample:
            place = ("20", 10_000_000, 10_003_900)
            own, given = (np.frombuffer(genome.fetch(*place).upper(), np.uint8) for genome in (sample, reference))
            known = own != ord("N")
            assert known.mean() > 0.95
            assert 0.99 < (own == given)[known].mean() < 1  # a person differs in about one base of a thousand


@pytest.mark.real
def test_a_real_cram_is_refused_with_a_piece_of_its_reference(shared_data, real_cram, tmp_path):
    """The old file is CRAM 2.1 with a negative slice span, which htslib refuses whatever the reference."""
    old = next((shared_data / "reads").glob("CEUTrio*.cram"))
    (tmp_path / "whole.fa").write_bytes(b">20\n" + b"N" * 63_025_520 + b"\n")
    with open_fasta(tmp_path / "whole.fa") as whole, pytest.raises(FormatError, match="no readable BAM, CRAM or SAM"):
        open_reads(old, whole)
    with open_fasta(shared_data / "reads" / PIECE) as piece:
        with pytest.raises(ReferenceMismatch, match=r"63,025,520 bases, .* 200,000"):
            open_reads(old, piece)
        with pytest.raises(ReferenceMismatch, match="10,199,999 bases"):
            open_reads(real_cram[0], piece)


def test_a_header_with_a_nul_byte_is_refused_with_one_line(tmp_path):
    path = tmp_path / "nul.sam"
    path.write_bytes(b"@SQ\tSN:c\tLN:9\x00/\x00\nr\t0\tc\t1\t60\t4M\t*\t0\t0\tACGT\tIIII\n")
    with pytest.raises(FormatError, match=r"nul\.sam.*header is damaged"):
        open_reads(path)
