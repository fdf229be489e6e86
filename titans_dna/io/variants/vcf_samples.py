"""Sample columns that htslib can read: finds what has to be left out of FORMAT and samples for a copy to be valid.

Scores do not need genotypes, so a record with a broken genotype is still scored. In the copy, the broken sample becomes
``.``, and the writer reports it. Broken means whatever stops htslib from reading: a GT that is not a genotype, more
values than FORMAT has keys, or text where a number is declared. A list may have no value (VCF 4.5), and GT may stand
behind other keys, although the specification puts it first.
"""

from __future__ import annotations

import re

from titans_dna.io.variants.vcf_header import VcfHeader, structured

_MOST_KEYS = 200
_REMEMBERED = 4096  # most valid sample texts that are remembered for each FORMAT
_FLOAT = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?:[iI]nf(?:inity)?|INF|[nN]a[nN]|NAN)|\."
_VALUE = {
    "Integer": r"(?:[+-]?[0-9]+|\.)(?:,(?:[+-]?[0-9]+|\.))*",
    "Float": rf"(?:{_FLOAT})(?:,(?:{_FLOAT}))*",
}
_GENOTYPE = r"[/|]?(?:[0-9]{1,4}|\.)(?:[/|](?:[0-9]{1,4}|\.))*"


class SampleColumns:
    """Checks sample columns, one record after the other.

    Parameters
    ----------
    header
        The header of the records.
    """

    def __init__(self, header: VcfHeader) -> None:
        self._names = header.samples
        self._types: dict[str, str] = {}
        for line in header.lines:
            kind, pairs = structured(line)
            if kind == "FORMAT" and "ID" in pairs:
                self._types[pairs["ID"]] = pairs.get("Type", "String")
        self._patterns: dict[str, re.Pattern[str] | None] = {}
        self._right: dict[str, set[str]] = {}

    def mend(self, format_text: str, samples: list[str]) -> tuple[str, list[str], list[str]]:
        """Return FORMAT and samples as they can be copied, and texts about what had to be left out.

        Parameters
        ----------
        format_text
            The FORMAT column.
        samples
            The sample columns.
        """
        samples = [text or "." for text in samples]
        right = self._right.setdefault(format_text, set())
        if right.issuperset(samples):
            return format_text, samples, []
        pattern = self._pattern(format_text)
        if pattern is None:
            return (
                ".",
                ["."] * len(samples),
                [f"FORMAT {format_text[:40]!r}... and all samples, for it has over {_MOST_KEYS} keys"],
            )
        lost, kept = [], []
        for name, text in zip(self._names, samples, strict=True):
            if text in right or pattern.fullmatch(text):
                kept.append(text)
                if len(right) < _REMEMBERED:
                    right.add(text)
            else:
                kept.append(".")
                lost.append(f"sample {name}: {text!r}")
        return format_text, kept, lost

    def _pattern(self, format_text: str) -> re.Pattern[str] | None:
        """Return the pattern that the text of a valid sample has; None if FORMAT itself cannot be read."""
        if format_text not in self._patterns:
            keys = format_text.split(":")
            # The limit keeps the pattern below from growing too deep for the engine of regular expressions.
            if len(keys) > _MOST_KEYS:
                self._patterns[format_text] = None
            else:
                values = [_GENOTYPE if key == "GT" else _VALUE.get(self._types.get(key, ""), "[^:]*") for key in keys]
                values = [value if key == "GT" else f"(?:{value}|)" for key, value in zip(keys, values, strict=True)]
                # Trailing values may be left out (section 1.6.2), so each further value is optional, inside the one
                # before.
                text = f"(?:{values[0]}|\\.)" + "".join(f"(?::{value}" for value in values[1:])
                text += ")?" * (len(values) - 1)
                self._patterns[format_text] = re.compile(text)
        return self._patterns[format_text]
