"""Variants with planted truth: some break a motif, some lie in plain background, some are awkward on purpose."""

from dataclasses import dataclass, field

import numpy as np

from demo.features import Contig

SHARES = {"chrC": 60, "chrA": 40}  # records of each truth label on each contig
SITE_SHARES = {"promoter": 0.5, "donor": 0.25, "acceptor": 0.25}
DELETION_EVERY = 5  # one labelled record in five is a deletion, the others are SNVs
FLANK_BP = 60  # distance of a background site from every planted feature
MARGIN_BP = 1_000  # no variant nearer to the end of a contig


@dataclass(frozen=True, kw_only=True)
class Record:
    """One line of the VCF."""

    contig: str
    position: int  # 1-based
    ref: str
    alts: tuple[str, ...]
    info: dict[str, str] = field(default_factory=dict)


class VariantMaker:
    """Draws the records of the demo VCF.

    Parameters
    ----------
    rng
        Source of all choices.
    contigs
        The finished genome.
    """

    def __init__(self, rng: np.random.Generator, contigs: list[Contig]) -> None:
        self.rng = rng
        self.contigs = {contig.name: contig for contig in contigs}
        self.letters = {contig.name: contig.text().decode().upper() for contig in contigs}
        self.free = {contig.name: _background(contig) for contig in contigs}
        self.records: list[Record] = []

    def draw(self) -> list[Record]:
        """Draw all records, sorted by contig and position; the record on an unknown contig is the last."""
        for contig, count in SHARES.items():
            self._breaking(contig, count)
            self._neutral(contig, count)
        self._unlabelled()
        self._awkward()
        order = list(self.contigs)
        known = [record for record in self.records if record.contig in order]
        unknown = [record for record in self.records if record.contig not in order]
        return sorted(known, key=lambda record: (order.index(record.contig), record.position)) + unknown

    def _breaking(self, contig: str, count: int) -> None:
        serial = 0
        for kind, share in SITE_SHARES.items():
            motifs = [feature for feature in self.contigs[contig].features if feature.kind == kind]
            picked = self.rng.choice(len(motifs), size=round(count * share), replace=False)
            for motif in (motifs[index] for index in sorted(picked.tolist())):
                info = {"TRUTH": "breaking", "SITE": kind}
                core = motif.core
                if serial % DELETION_EVERY == DELETION_EVERY - 1:
                    start = core[0] if len(core) == 2 else int(self.rng.integers(motif.start + 2, motif.end - 4))
                    self._deletion(contig, start, 2, info)
                else:
                    self._snv(contig, core[int(self.rng.integers(len(core)))], info)
                serial += 1

    def _neutral(self, contig: str, count: int) -> None:
        for serial in range(count):
            info = {"TRUTH": "neutral", "SITE": "background"}
            start = self._free_site(contig)
            if serial % DELETION_EVERY == DELETION_EVERY - 1:
                self._deletion(contig, start, 2, info)
            else:
                self._snv(contig, start, info)

    def _unlabelled(self) -> None:
        for kind, count in (("exon", 8), ("tandem", 3), ("dispersed", 5)):
            for number in range(count):
                contig = ("chrA", "chrB", "chrC")[number % 3]
                start = self._inside(contig, kind)
                self._snv(contig, start, {"SITE": kind})
        for number in range(8):
            contig = ("chrC", "chrB")[number % 2]
            start = self._free_site(contig)
            inserted = "".join("ACGT"[base] for base in self.rng.integers(0, 4, size=1 + 3 * number))
            self._add(
                contig, start, self._at(contig, start), (self._at(contig, start) + inserted,), {"SITE": "background"}
            )
        for number in range(6):
            contig = ("chrC", "chrB")[number % 2]
            self._deletion(contig, self._free_site(contig), 1 + 5 * number, {"SITE": "background"})

    def _awkward(self) -> None:
        for contig, width_bp in (("chrA", 2), ("chrB", 3), ("chrC", 2), ("chrC", 4)):
            start = self._free_site(contig)
            ref = self._at(contig, start, width_bp)
            self._add(contig, start, ref, ("".join(self._other(base) for base in ref),), {"SITE": "background"})
        for contig in ("chrA", "chrB", "chrC"):
            start = self._free_site(contig)
            ref = self._at(contig, start)
            others = [base for base in "ACGT" if base != ref]
            self._add(contig, start, ref, (others[0], others[2], ref + "GATC"), {"SITE": "background"})
        start = self._free_site("chrC")
        self._add("chrC", start, self._at("chrC", start, 8), (self._at("chrC", start),), {"SITE": "background"})
        overlapped = self._at("chrC", start + 4)
        self._add("chrC", start + 4, overlapped, ("*", self._other(overlapped)), {"SITE": "background"})
        start = self._free_site("chrB")
        info = {"SVTYPE": "DEL", "END": str(start + 1 + 400)}
        self._add("chrB", start, self._at("chrB", start), ("<DEL>",), info)
        start = self._free_site("chrB")
        wrong = self._other(self._at("chrB", start))
        self._add("chrB", start, wrong, (self._at("chrB", start),), {"SITE": "background"})
        self._add("chrUn", 1_233, "A", ("G",), {})

    def _snv(self, contig: str, start: int, info: dict[str, str]) -> None:
        ref = self._at(contig, start)
        self._add(contig, start, ref, (self._other(ref),), info)

    def _deletion(self, contig: str, start: int, width_bp: int, info: dict[str, str]) -> None:
        """Add the deletion of bases [start, start + width_bp), placed leftmost as VCF asks."""
        letters = self.letters[contig]
        while letters[start - 1] == letters[start + width_bp - 1]:
            start -= 1
        ref = self._at(contig, start - 1, width_bp + 1)
        self._add(contig, start - 1, ref, (ref[0],), info)

    def _add(self, contig: str, start: int, ref: str, alts: tuple[str, ...], info: dict[str, str]) -> None:
        self.records.append(Record(contig=contig, position=start + 1, ref=ref, alts=alts, info=info))

    def _at(self, contig: str, start: int, width_bp: int = 1) -> str:
        return self.letters[contig][start : start + width_bp]

    def _other(self, base: str) -> str:
        return [other for other in "ACGT" if other != base][int(self.rng.integers(3))]

    def _free_site(self, contig: str) -> int:
        """Pick a background base and keep its neighbourhood from being picked again."""
        free = self.free[contig]
        sites = np.flatnonzero(free)
        start = int(sites[int(self.rng.integers(len(sites)))])
        free[max(start - FLANK_BP, 0) : start + FLANK_BP] = False
        return start

    def _inside(self, contig: str, kind: str) -> int:
        found = [feature for feature in self.contigs[contig].features if feature.kind == kind]
        feature = found[int(self.rng.integers(len(found)))]
        return (feature.start + feature.end) // 2


def _background(contig: Contig) -> np.ndarray:
    """Return a bool array: bases farther than `FLANK_BP` from every feature, and one of A, C, G, T."""
    free = contig.bases < 4
    for feature in contig.features:
        free[max(feature.start - FLANK_BP, 0) : feature.end + FLANK_BP] = False
    free[:MARGIN_BP] = False
    free[-MARGIN_BP:] = False
    return free
