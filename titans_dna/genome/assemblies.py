"""Accessions and lengths of the main human contigs, for telling contig names and genome builds apart.

Source: the assembly reports GCF_000001405.25 (GRCh37.p13) and GCF_000001405.26 (GRCh38). Chromosome n has the RefSeq
accession ``NC_0000nn`` (X is 23, Y 24), whose version differs between the builds, and the GenBank accession
``CM000662 + n`` with version 1 in GRCh37 and 2 in GRCh38.
"""

from __future__ import annotations

_NAMES = [*(str(number) for number in range(1, 23)), "X", "Y"]
_VERSIONS_37 = [10, 11, 11, 11, 9, 11, 13, 10, 11, 10, 9, 11, 10, 8, 9, 9, 10, 9, 9, 10, 8, 10, 10, 9]
_LENGTHS_37 = [
    249250621, 243199373, 198022430, 191154276, 180915260, 171115067, 159138663, 146364022, 141213431,
    135534747, 135006516, 133851895, 115169878, 107349540, 102531392, 90354753, 81195210, 78077248,
    59128983, 63025520, 48129895, 51304566, 155270560, 59373566,
]  # fmt: skip
_LENGTHS_38 = [
    248956422, 242193529, 198295559, 190214555, 181538259, 170805979, 159345973, 145138636, 138394717,
    133797422, 135086622, 133275309, 114364328, 107043718, 101991189, 90338345, 83257441, 80373285,
    58617616, 64444167, 46709983, 50818468, 156040895, 57227415,
]  # fmt: skip

#: Length in bases of every main contig of a build, by its bare name.
BUILD_LENGTHS: dict[str, dict[str, int]] = {
    "GRCh37": dict(zip(_NAMES, _LENGTHS_37, strict=True)),
    "GRCh38": dict(zip(_NAMES, _LENGTHS_38, strict=True)),
}


def _accessions() -> dict[str, tuple[str, int]]:
    """Return a table of accession -> (bare contig name, length in bases)."""
    # The mitochondrion is the same sequence in both builds, under numbers outside the scheme of the chromosomes.
    table = {"NC_012920.1": ("MT", 16569), "J01415.2": ("MT", 16569)}
    for number, (name, version) in enumerate(zip(_NAMES, _VERSIONS_37, strict=True), start=1):
        for build, refseq, genbank in (("GRCh37", version, 1), ("GRCh38", version + 1, 2)):
            length = BUILD_LENGTHS[build][name]
            table[f"NC_{number:06d}.{refseq}"] = (name, length)
            table[f"CM{662 + number:06d}.{genbank}"] = (name, length)
    return table


#: RefSeq and GenBank accession -> (bare contig name, length in bases).
ACCESSIONS: dict[str, tuple[str, int]] = _accessions()
