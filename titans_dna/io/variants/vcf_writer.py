"""A VCF copied with typed INFO fields added: bgzip-compressed, indexed, complete or absent.

Every record keeps its text. Fields are appended to INFO, and values of an earlier run under the same names are dropped.
Everything that records use but the header does not declare (contigs, INFO, FORMAT, FILTER) is declared, so that
bcftools can read the copy. A valid VCF cannot hold a malformed line, so its text and the reason are put into the header
as ``##titans_dna_malformed``, and these lines are counted. Parts of records that htslib cannot read (a broken genotype,
a name that no header can declare) are put there as ``##titans_dna_dropped``. The index is .tbi, or .csi if a contig is
longer than 512 Mb or a record ends beyond that. An unsorted source keeps its order and gets no index but a warning, and
so does one whose records no index can hold.
"""

from __future__ import annotations

import logging
import math
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from titans_dna.io.disk.atomic import atomic_path
from titans_dna.io.disk.bgzf import END_BLOCK, TBI_LIMIT, drop_indexes, quiet_htslib
from titans_dna.io.disk.contexts import Opening
from titans_dna.io.formats import format_of
from titans_dna.io.variants.vcf import VcfRecord
from titans_dna.io.variants.vcf_header import InfoField, VcfHeader, percent_coded
from titans_dna.io.variants.vcf_samples import SampleColumns

logger = logging.getLogger(__name__)

_LINES_HELD = 500  # records written at once
_NAME = re.compile(r"[A-Za-z_0-9][0-9A-Za-z_.+-]*", re.ASCII)  # names that can be declared in a header
MALFORMED_SHOWN = 1000  # most malformed lines whose text is put into the header


class ScoredVcfWriter(Opening):
    """Write records with more INFO, in the order given; a context manager, and only its clean end makes the file
    appear.

    Parameters
    ----------
    output
        ``.vcf.gz`` (compressed and indexed) or ``.vcf`` (plain text).
    header
        Header of the source.
    fields
        Fields to add to INFO.
    contig_lengths
        Lengths in bases of contigs that the header does not declare.
    header_lines
        Further whole ``##`` lines, such as the command.
    dropped
        Further IDs of INFO that are dropped from records, besides those of ``fields``.
    """

    def __init__(
        self,
        output: str | os.PathLike[str],
        header: VcfHeader,
        fields: Sequence[InfoField],
        *,
        contig_lengths: Mapping[str, int] | None = None,
        header_lines: Sequence[str] = (),
        dropped: Iterable[str] = (),
    ) -> None:
        self.output, self.header, self.fields = Path(output), header, list(fields)
        self.records = self.malformed = self.dropped = 0
        self._samples = SampleColumns(header)
        self._lost: list[str] = []
        self._lengths = dict(contig_lengths or {})
        self._extra = [line if line.startswith("##") else f"##{line}" for line in header_lines]
        self._ours = {*(field.id for field in fields), *dropped}
        if not self._to_stdout:
            format_of(output, holds="variants")
        self._contigs: dict[str, int | None] = {}
        self._known = {kind: set(names) for kind, names in header.declared.items()}
        self._undeclared: dict[str, dict[str, None]] = {"INFO": {}, "FORMAT": {}, "FILTER": {}}
        self._bad: list[str] = []
        self._lines: list[str] = []  # records not written yet
        self._last: tuple[str, int] = ("", 0)
        self._sorted, self._longest = True, 0

    def open(self, stack: ExitStack) -> None:
        """Open a file for the records; the header, which they may add to, is written at the end."""
        self._index_made = self._index_target = self.output
        stack.callback(self._place_index)  # entered first, so it comes after the file itself
        if self._to_stdout:
            self._final = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "scored.vcf"
        else:
            self._final = stack.enter_context(atomic_path(self.output))
        # htslib needs a header that declares every contig, INFO and FILTER that any record uses, which is
        # known only after the last record. So records are spooled, and the header is put in front of them.
        self._spool = self._final.with_name(self._final.name + ".body")
        self._index_made = self._final.with_name(self._final.name + ".tbi")
        stack.callback(self._spool.unlink, missing_ok=True)
        self._body = _open_output(self._spool, self._packed)
        stack.push(self._finish)

    def _finish(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is not None:
            self._body.close()
            return
        self._flush()
        self._body.close()
        self._assemble()
        if self._packed:
            self._index()
        elif self._to_stdout:
            with self._final.open("rb") as source:
                shutil.copyfileobj(source, sys.stdout.buffer, 1 << 20)
            sys.stdout.buffer.flush()

    @property
    def _packed(self) -> bool:
        return self.output.name.endswith((".gz", ".bgz"))

    @property
    def _to_stdout(self) -> bool:
        return str(self.output) == "-"

    def write(self, record: VcfRecord, values: Mapping[str, Any]) -> None:
        """Copy one record and add INFO.

        Parameters
        ----------
        record
            The record as read.
        values
            Value by field ID: a number, a string, True for a flag, a sequence of these, or None (left out). NaN is
            written ``.``.
        """
        if record.problem:
            self.malformed += 1
            if len(self._bad) < MALFORMED_SHOWN:
                text = f"line {record.line}: {record.problem}: {record.text}"
                self._bad.append("##titans_dna_malformed=" + "".join(map(_visible, text)))
            return
        columns = record.text.split("\t", 9)
        added = [text for field in self.fields if (text := _format(field, values.get(field.id)))]
        parts = [] if columns[7] in (".", "") else [part for part in columns[7].split(";") if part]
        keys = [part.partition("=")[0] for part in parts]
        if not self._ours.isdisjoint(keys):
            parts = [part for part, key in zip(parts, keys, strict=True) if key not in self._ours]
        self._note_place(record)
        if bad := self._note_names("INFO", keys):
            parts = [part for part in parts if part.partition("=")[0] not in bad]
            self._note_lost(record, [f"INFO {key!r}" for key in bad])
        if columns[6] not in (".", "PASS", "") and self._note_names("FILTER", columns[6].split(";")):
            self._note_lost(record, [f"FILTER {columns[6]!r}"])
            columns[6] = "."
        if len(columns) > 8:
            self._copy_samples(record, columns)
        columns[7] = ";".join([*parts, *added]) or "."
        self._lines.append("\t".join(columns))
        self.records += 1
        if len(self._lines) >= _LINES_HELD:
            self._flush()

    def _copy_samples(self, record: VcfRecord, columns: list[str]) -> None:
        """Leave out of FORMAT and samples what htslib cannot read."""
        samples = columns[9].split("\t")
        if columns[8] == "." and set(samples) <= {".", ""}:  # nothing is said of any sample
            lost: list[str] = []
        elif self._note_names("FORMAT", columns[8].split(":")):
            lost = [f"FORMAT {columns[8]!r} and all samples, for its names cannot be declared"]
            columns[8], samples = ".", ["."] * len(samples)
        else:
            columns[8], samples, lost = self._samples.mend(columns[8], samples)
        columns[9] = "\t".join(samples)
        self._note_lost(record, lost)

    def _note_lost(self, record: VcfRecord, lost: list[str]) -> None:
        """Remember the parts of a record that cannot be copied."""
        self.dropped += len(lost)
        for what in lost:
            if len(self._lost) < MALFORMED_SHOWN:
                self._lost.append("##titans_dna_dropped=" + "".join(map(_visible, f"line {record.line}: {what}")))

    def _note_place(self, record: VcfRecord) -> None:
        """Remember the place of a record, for contigs, sorting and the index."""
        contig, position = record.contig, record.position
        if contig != self._last[0]:
            # A contig that comes a second time breaks the order that an index needs.
            self._sorted = self._sorted and contig not in self._contigs
            self._contigs.setdefault(contig, self._lengths.get(contig))
        elif position < self._last[1]:
            self._sorted = False
        self._last = (contig, position)
        self._longest = max(self._longest, position + len(record.ref))

    def _note_names(self, kind: str, names: list[str]) -> list[str]:
        """Remember names that the header does not declare, and return those that no header can declare."""
        known = self._known[kind]
        if known.issuperset(names):
            return []
        bad = []
        for name in names:
            if name in known:
                continue
            if not _NAME.fullmatch(name):
                bad.append(name)
                continue
            known.add(name)
            if name not in self._ours:
                self._undeclared[kind][name] = None
        return bad

    def _flush(self) -> None:
        """Write the lines held."""
        self._lines.append("")
        self._body.write("\n".join(self._lines).encode("utf-8", "surrogateescape"))
        self._lines.clear()

    def _assemble(self) -> None:
        """Put the header in front of the records."""
        if self.malformed:
            self._bad.insert(0, f"##titans_dna_malformed_records={self.malformed}")
            logger.warning("%s: %d malformed records of the source stand in its header", self.output, self.malformed)
        if self.dropped:
            logger.warning(
                "%s: %d samples, INFO or FILTER values cannot be copied and are named in its header",
                self.output,
                self.dropped,
            )
        extra = [*self._extra, *self._bad, *self._lost]
        header = self.header.without_info(self._ours)
        text = header.with_additions(self.fields, self._contigs, self._undeclared, extra)
        with _open_output(self._final, self._packed) as head:
            head.write(text.encode("utf-8", "surrogateescape"))
        with self._final.open("r+b") as target, self._spool.open("rb") as source:
            target.seek(0, os.SEEK_END)
            if self._packed:
                # The empty block would end the file after the header. BGZF files without it can be joined as they are.
                target.seek(-len(END_BLOCK), os.SEEK_END)
                target.truncate()
            shutil.copyfileobj(source, target, 1 << 20)

    def _index(self) -> None:
        """Make the index, or say why there is none."""
        drop_indexes(self.output)
        if not self._sorted:
            logger.warning("%s: records are not sorted, so there is no index. Sort with bcftools sort.", self.output)
            return
        lengths = {**self.header.contigs, **self._contigs}.values()
        long = max([self._longest, *(length or 0 for length in lengths)]) > TBI_LIMIT
        # A .tbi cannot hold an INFO/END beyond its limit, but a .csi may.
        for suffix in (".csi",) if long else (".tbi", ".csi"):
            if self._make_index(csi=suffix == ".csi"):
                self._index_target = self.output.with_name(self.output.name + suffix)
                return
        logger.warning(
            "%s: no index can be made, so there is none. Check POS and INFO/END of its records.", self.output
        )

    def _make_index(self, *, csi: bool) -> bool:
        """Try to make an index; htslib's own words about a failure are left out."""
        import pysam

        with quiet_htslib(), suppress(OSError):
            pysam.tabix_index(str(self._final), preset="vcf", force=True, csi=csi, index=str(self._index_made))
            return True
        return False

    def _place_index(self) -> None:
        """Give the index its name, or delete one that was begun."""
        if self._index_target != self.output:
            self._index_made.replace(self._index_target)
        elif self._index_made != self.output:
            self._index_made.unlink(missing_ok=True)


def _format(field: InfoField, value: Any) -> str:
    """Write ``ID=values``, or nothing for None."""
    if value is None or (field.type == "Flag" and not value):
        return ""
    if field.type == "Flag":
        return field.id
    items = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
    return f"{field.id}={','.join(_one(field.type, item) for item in items)}" if items else ""


def _one(kind: str, item: Any) -> str:
    """Write one value; floats with seven digits, as many as the 32-bit floats of VCF hold."""
    if item is None or item == "":
        return "."
    if kind == "Float":
        return "." if math.isnan(item) else f"{float(item):.7g}"
    if kind == "Integer":
        return str(int(item))
    return percent_coded(str(item))


def _visible(character: str) -> str:
    """Escape control characters; bytes that are not UTF-8 stay as they are."""
    if character.isprintable() or "\udc80" <= character <= "\udcff":
        return character
    return character.encode("unicode_escape").decode("ascii")


def _open_output(path: Path, packed: bool) -> Any:
    """Open for writing bytes, blocked gzip or plain."""
    if packed:
        import pysam

        return pysam.BGZFile(str(path), "wb", index=None)
    return path.open("wb")
