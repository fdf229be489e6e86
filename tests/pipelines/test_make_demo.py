"""The demo input: made again byte for byte, and holding what its README promises."""

import hashlib
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pysam
import pytest

TOP = Path(__file__).parents[2]
DATA = TOP / "data"
SCRIPT = TOP / "pipelines" / "scripts" / "make_demo.py"
TEXT_FILES = ("demo.fa", "demo.vcf", "demo.bed", "demo.json")
COMPLEMENT = str.maketrans("ACGTacgt", "TGCAtgca")


@pytest.fixture(scope="module")
def genome() -> dict[str, str]:
    records = (DATA / "demo.fa").read_text().split(">")[1:]
    return {name: rest.replace("\n", "") for name, rest in (record.split("\n", 1) for record in records)}


@pytest.fixture(scope="module")
def truth() -> dict:
    return json.loads((DATA / "demo.json").read_text())


@pytest.fixture(scope="module")
def features(truth) -> list[dict]:
    return [dict(zip(truth["feature_columns"], row, strict=True)) for row in truth["features"]]


@pytest.fixture(scope="module")
def records() -> list[dict]:
    rows = []
    for line in (DATA / "demo.vcf").read_text().splitlines():
        if not line.startswith("#"):
            contig, position, _, ref, alts, _, _, info = line.split("\t")
            fields = dict(item.split("=", 1) for item in info.split(";") if item != ".")
            rows.append({"contig": contig, "start": int(position) - 1, "ref": ref, "alts": alts.split(","), **fields})
    return rows


def planted(genome, feature) -> str:
    """Return the bases of a feature, read along its own strand."""
    bases = genome[feature["contig"]][feature["start"] : feature["end"]].upper()
    return bases if feature["strand"] == "+" else bases.translate(COMPLEMENT)[::-1]


def of_kind(features, kind) -> list[dict]:
    found = [feature for feature in features if feature["kind"] == kind]
    assert found
    return found


def reads_of(path) -> list[str]:
    with pysam.AlignmentFile(str(path)) as alignments:
        return [str(alignments.header)] + [read.to_string() for read in alignments.fetch(until_eof=True)]


def test_the_script_makes_the_committed_files_again(tmp_path):
    subprocess.run([sys.executable, SCRIPT, "--output", tmp_path], check=True, cwd=TOP, timeout=60)
    for name in TEXT_FILES:
        assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes(), name
    assert reads_of(tmp_path / "demo.bam") == reads_of(DATA / "demo.bam")


def test_another_seed_makes_another_genome(tmp_path):
    subprocess.run([sys.executable, SCRIPT, "--output", tmp_path, "--seed", "3"], check=True, cwd=TOP, timeout=60)
    assert (tmp_path / "demo.fa").read_bytes() != (DATA / "demo.fa").read_bytes()


def test_readme_names_every_file_with_its_checksum():
    listed = dict(re.findall(r"\| `(demo[.\w]+)` \|.*\| `([0-9a-f]{64})` \|", (DATA / "README.md").read_text()))
    present = {path.name for path in DATA.glob("demo.*") if path.suffix != ".fai"}
    assert set(listed) == present
    for name, digest in listed.items():
        assert hashlib.sha256((DATA / name).read_bytes()).hexdigest() == digest, name


def test_contigs_gaps_and_codes(genome):
    assert {name: len(bases) for name, bases in genome.items()} == {"chrA": 1_000_000, "chrB": 500_000, "chrC": 250_000}
    assert [len(run) for run in re.findall("N+", genome["chrA"])] == [2_000]
    assert [len(run) for run in re.findall("N+", genome["chrB"])] == [400]
    assert set(genome["chrC"].upper()) == set("ACGT")
    assert "".join(genome.values()).upper().count("R") == 1
    assert {len(line) for line in (DATA / "demo.fa").read_text().splitlines() if line[0] != ">"} <= {60, 40, 20}


def test_repeats_and_nothing_else_are_soft_masked(genome, features):
    for contig, bases in genome.items():
        lower = np.array([base.islower() for base in bases])
        wanted = np.zeros(len(bases), dtype=bool)
        for feature in features:
            if feature["contig"] == contig and feature["kind"] in ("tandem", "dispersed"):
                wanted[feature["start"] : feature["end"]] = True
        assert (lower == wanted).all()


@pytest.mark.parametrize("kind", ["promoter", "box", "donor"])
def test_motifs_are_where_the_truth_says(genome, features, truth, kind):
    consensus = truth["motifs"][kind]
    kept = [
        a == b for feature in of_kind(features, kind) for a, b in zip(planted(genome, feature), consensus, strict=True)
    ]
    assert 0.95 < np.mean(kept) < 1.0


def test_promoters_lie_at_a_fixed_distance_from_the_start_codon(features):
    starts = {feature["name"]: feature for feature in of_kind(features, "start_codon")}
    for promoter in of_kind(features, "promoter"):
        start = starts[promoter["name"]]
        ahead = start["start"] - promoter["end"] if start["strand"] == "+" else promoter["start"] - start["end"]
        assert ahead == 16 + 8 + 24


def test_genes_translate(genome, features):
    exons: dict[str, list[dict]] = {}
    for exon in of_kind(features, "exon"):
        exons.setdefault(exon["name"], []).append(exon)
    for group in exons.values():
        ordered = sorted(group, key=lambda exon: exon["start"], reverse=group[0]["strand"] == "-")
        coding = "".join(planted(genome, exon) for exon in ordered)
        codons = [coding[base : base + 3] for base in range(0, len(coding), 3)]
        stops = [codon in ("TAA", "TAG", "TGA") for codon in codons]
        assert len(coding) % 3 == 0
        assert codons[0] == "ATG"
        assert stops[-1]
        assert sum(stops) == 1


def test_introns_begin_with_gt_and_end_with_ag(genome, features):
    for intron in of_kind(features, "intron"):
        bases = planted(genome, intron)
        assert bases[:2] == "GT"
        assert bases[-2:] == "AG"


def test_shares_of_the_genome(genome, features):
    for contig, bases in genome.items():
        share = {
            kind: sum(f["end"] - f["start"] for f in of_kind(features, kind) if f["contig"] == contig) / len(bases)
            for kind in ("gene", "tandem", "dispersed")
        }
        assert 0.38 < share["gene"] < 0.46
        assert 0.06 < share["tandem"] < 0.10
        assert 0.15 < share["dispersed"] < 0.21


def test_tandem_arrays_repeat_their_unit(genome, features):
    for array in of_kind(features, "tandem"):
        unit_bp = int(array["name"].rpartition("=")[2])
        bases = np.frombuffer(planted(genome, array).encode(), dtype=np.uint8)
        assert (bases[unit_bp:] == bases[:-unit_bp]).mean() > 0.9


def test_dispersed_copies_lie_10_kb_to_500_kb_apart_and_resemble_each_other(genome, features):
    families: dict[str, list[dict]] = {}
    for copy in of_kind(features, "dispersed"):
        families.setdefault(copy["name"].partition(":")[0], []).append(copy)
    for family, copies in families.items():
        contigs = {copy["contig"] for copy in copies}
        assert contigs == ({"chrA", "chrB", "chrC"} if family.startswith("shared") else {family.partition("_")[0]})
        for left, right in itertools.pairwise(copies):
            first, second = (np.frombuffer(planted(genome, copy).encode(), dtype=np.uint8) for copy in (left, right))
            assert (first != second).mean() < 0.13
            if left["contig"] == right["contig"]:
                limit = 100_000 if family.startswith("chrC_") else 500_000
                assert 10_000 <= right["start"] - left["end"] <= limit


def test_only_the_planted_mismatch_disagrees_with_the_genome(genome, records):
    wrong = [
        record
        for record in records
        if record["contig"] in genome
        and genome[record["contig"]][record["start"] : record["start"] + len(record["ref"])].upper() != record["ref"]
    ]
    assert len(wrong) == 1
    assert [record["contig"] for record in records if record["contig"] not in genome] == ["chrUn"]


def test_every_sort_of_record_is_there(records):
    pairs = [(record["ref"], alt) for record in records for alt in record["alts"]]
    plain = [(ref, alt) for ref, alt in pairs if alt not in ("*", "<DEL>")]
    assert len(records) == 242
    assert sum(len(ref) == len(alt) == 1 for ref, alt in plain) > 150
    assert sum(len(ref) < len(alt) for ref, alt in plain) >= 8
    assert sum(len(ref) > len(alt) for ref, alt in plain) >= 40
    assert sum(len(ref) == len(alt) > 1 for ref, alt in plain) == 4
    assert sum(len(record["alts"]) == 3 for record in records) == 3
    assert [alt for _, alt in pairs].count("<DEL>") == 1
    star = next(record for record in records if "*" in record["alts"])
    spanning = records[records.index(star) - 1]
    assert spanning["contig"] == star["contig"]
    assert spanning["start"] < star["start"] < spanning["start"] + len(spanning["ref"])


def test_truth_is_balanced_on_each_contig(records):
    counts = {
        (label, contig): sum(r.get("TRUTH") == label and r["contig"] == contig for r in records)
        for label in ("breaking", "neutral")
        for contig in ("chrA", "chrB", "chrC")
    }
    assert counts == {
        (label, contig): count
        for label in ("breaking", "neutral")
        for contig, count in (("chrA", 40), ("chrB", 0), ("chrC", 60))
    }
    deletions = [r["TRUTH"] for r in records if "TRUTH" in r and len(r["ref"]) > 1]
    assert deletions.count("breaking") == deletions.count("neutral") == 20


def test_breaking_variants_change_invariant_bases_and_neutral_ones_lie_in_background(features, records):
    cores = {
        "promoter": (0, 17),
        "donor": (3, 5),
        "acceptor": (17, 19),
    }  # within the motif: the whole box, or GT and AG
    acceptor_bp = 14 + 3 + 1
    cores["acceptor"] = (acceptor_bp - 3, acceptor_bp - 1)
    for record in (record for record in records if "TRUTH" in record):
        first = record["start"] + (len(record["ref"]) > 1)
        changed = set(range(first, record["start"] + len(record["ref"])))
        near = [f for f in features if f["contig"] == record["contig"] and f["start"] - 50 < first < f["end"] + 50]
        if record["TRUTH"] == "neutral":
            assert not near
            continue
        broken = set()
        for motif in (feature for feature in near if feature["kind"] == record["SITE"]):
            low, high = cores[motif["kind"]]
            ahead = motif["strand"] == "+"
            broken |= set(
                range(motif["start"] + low, motif["start"] + high)
                if ahead
                else range(motif["end"] - high, motif["end"] - low)
            )
        assert changed & broken


def test_records_and_regions_are_sorted_and_lie_on_the_genome(genome, records):
    order = [*genome, "chrUn"]
    keys = [(order.index(record["contig"]), record["start"]) for record in records]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)
    rows = [line.split("\t") for line in (DATA / "demo.bed").read_text().splitlines()]
    spans = [(order.index(row[0]), int(row[1]), int(row[2])) for row in rows]
    assert spans == sorted(spans)
    assert len({row[3] for row in rows}) == len(rows) > 50
    assert all(len(row) == 6 and row[5] in "+-" for row in rows)
    assert all(0 <= int(row[1]) < int(row[2]) <= len(genome[row[0]]) for row in rows)


def test_reads_bear_the_sample_and_no_volatile_header(genome, truth):
    assert (DATA / "demo.bam").stat().st_size < 500_000
    with pysam.AlignmentFile(str(DATA / "demo.bam")) as alignments:
        assert alignments.has_index()
        assert set(alignments.header.to_dict()) == {"HD", "SQ", "RG"}
        assert dict(zip(alignments.references, alignments.lengths, strict=True)) == truth["contigs"]
        counts = np.array(alignments.count_coverage("chrC", 100_000, 120_000, quality_threshold=0))
    assert counts.sum(axis=0).mean() == pytest.approx(12.0, abs=0.1)
    assert len(truth["sample_variants"]) == 14
    for variant in truth["sample_variants"]:
        column = counts[:, variant["position"] - 1 - 100_000]
        assert genome["chrC"][variant["position"] - 1].upper() == variant["ref"]
        if column.sum() >= 8:
            share = column["ACGT".index(variant["alt"])] / column.sum()
            assert share > (0.8 if variant["copies"] == 2 else 0.05)


def test_everything_together_is_small():
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 3_000_000
