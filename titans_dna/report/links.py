"""Links from coordinates to a genome viewer; the page itself loads nothing from there."""

from __future__ import annotations

import re
from urllib.parse import quote

from titans_dna.errors import ConfigError

IGV = "http://localhost:60151/goto?locus={contig}:{start}-{end}"  # IGV on the reader's machine listens on this port
UCSC = "https://genome.ucsc.edu/cgi-bin/hgTracks?db={database}&position={contig}:{start}-{end}"
AROUND_BP = 50  # bases shown on either side of what is linked


def link_pattern(text: str) -> str:
    """Return the address that ``--link`` asks for, with the fields ``{contig}``, ``{start}`` and ``{end}`` in it.

    Parameters
    ----------
    text
        ``igv``, ``ucsc:DB``, any other http address with these fields, or empty for no links.

    Raises
    ------
    ConfigError
        If the text is none of these.

    Examples
    --------
    >>> link_pattern("ucsc:hg38")
    'https://genome.ucsc.edu/cgi-bin/hgTracks?db=hg38&position={contig}:{start}-{end}'
    """
    if text in ("", "igv"):
        return IGV if text else ""
    if match := re.fullmatch(r"ucsc:(\w+)", text):
        return UCSC.replace("{database}", match[1])
    fields = re.findall(r"\{(.*?)\}", text)
    if re.match(r"https?://", text) and {"contig", "start"} <= set(fields) <= {"contig", "start", "end"}:
        return text
    raise ConfigError(f"link is {text!r}; give igv, ucsc:DB, or an http address with {{contig}}, {{start}} and {{end}}")


def link_address(pattern: str, contig: str, start: int, end: int) -> str:
    """Return the address at which a viewer shows some bases, with a margin of `AROUND_BP` on both sides.

    Parameters
    ----------
    pattern
        What `link_pattern` returned; an empty pattern gives an empty address.
    contig
        Name of the sequence.
    start, end
        The bases, 0-based half-open; the fields of the address are 1-based with the end included.

    Examples
    --------
    >>> link_address("http://x/{contig}:{start}-{end}", "HLA A*01", 999, 1000)
    'http://x/HLA%20A%2A01:950-1050'
    """
    bounds = {"{start}": str(max(1, start + 1 - AROUND_BP)), "{end}": str(end + AROUND_BP)}
    bounds["{contig}"] = quote(contig, safe="")
    return re.sub(r"\{(contig|start|end)\}", lambda match: bounds[match[0]], pattern)
