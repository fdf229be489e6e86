"""IGV sessions: a genome and the tracks upon it, opened by one double click (igv.org, Sessions).

An XML file with one ``Session``, its ``Resources`` (paths relative to the session) and a ``Track`` for each.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from titans_dna.io.disk.atomic import atomic_path

COLOURS = ("36,102,176", "200,55,45", "60,140,70", "150,100,20", "110,70,160")


def write_session(path: Path, genome: Path, files: Sequence[Path], locus: str = "") -> None:
    """Write a session of IGV.

    Parameters
    ----------
    path
        Output.
    genome
        FASTA of the tracks.
    files
        Tracks: bigWig, BED, VCF and whatever else IGV reads.
    locus
        Where IGV is to begin, 1-based, such as ``chrA:1-2000``; empty for the whole genome.
    """
    session = ElementTree.Element("Session", genome=_beside(genome, path), version="8")
    if locus:
        session.set("locus", locus)
    resources = ElementTree.SubElement(session, "Resources")
    panel = ElementTree.SubElement(session, "Panel", name="DataPanel")
    for number, file in enumerate(files):
        place = _beside(file, path)
        ElementTree.SubElement(resources, "Resource", path=place)
        track = ElementTree.SubElement(panel, "Track", id=place, name=file.name, visible="true")
        if file.suffix == ".bw":
            track.attrib |= {"autoScale": "true", "color": COLOURS[number % len(COLOURS)], "renderer": "BAR_CHART"}
    ElementTree.indent(session)
    with atomic_path(path) as temporary:
        temporary.write_bytes(ElementTree.tostring(session, encoding="UTF-8", xml_declaration=True) + b"\n")


def bigwigs_of(tracks: Path) -> list[Path]:
    """Return the bigWigs that ``--tracks NAME.bw`` wrote: ``NAME.KIND.bw``, by name; none for another ending."""
    return sorted(tracks.parent.glob(f"{glob.escape(tracks.stem)}.*.bw")) if tracks.suffix == ".bw" else []


def _beside(file: Path, session: Path) -> str:
    """Return a path as it is written in a session: relative, so that a folder can be moved."""
    return Path(os.path.relpath(file.resolve(), session.resolve().parent)).as_posix()
