"""What the pages take from elsewhere in the project, by comments. All but values stand alone on their line.

<!-- figure: mac -->            docs/pages/figures/mac.svg, inside the page, so that it follows light and dark
<!-- picture: ablations -->     benchmarks/results/ablations.svg, as an image
<!-- results: memory_layer -->  the table of benchmarks/results/memory_layer.md, or how to measure it
<!-- schemas: pipelines -->     the keys of every pipelines/schemas/*.schema.yaml
<!-- docstring: io/variants/vcf -->  what titans_dna/io/variants/vcf.py says of itself, its format
<!-- sizes: named -->          the named sizes of models, from titans_dna/model/config.py
<!-- help: verbs -->            what `titans-dna VERB --help` prints, for every verb
<!-- claim: evidence_recall_bits | merely read -->  the claims of a result in whose text these words stand
<!-- value: variants_speed | ratio | measured -->  one cell of a table in benchmarks/results: its row, told by what its
                               first columns say (separated by "; "), and its column; so no figure is typed by hand
"""

from __future__ import annotations

import ast
import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[1]
_MARK = re.compile(r"^<!-- (figure|picture|results|schemas|docstring|help|sizes): ([\w/, ]+) -->$", re.MULTILINE)
_CLAIM = re.compile(r"^<!-- claim: (\w+) \| (.+) -->$", re.MULTILINE)
_VALUE = re.compile(r"<!-- value: ([\w]+) \| ([^|\n]+) \| ([^|\n]+) -->")
_CLAIMS = re.compile(r"^<!-- (end of )?claims.* -->\n", re.MULTILINE)  # where benchmarks/evidence/claims.py writes


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill a page's marks (called by MkDocs)."""
    filled = _MARK.sub(lambda match: FILL[match[1]](match[2]), markdown)
    filled = _CLAIM.sub(lambda match: _claim(match[1], match[2]), filled)
    filled = _VALUE.sub(lambda match: _value(match[1], tuple(match[2].split("; ")), match[3]), filled)
    return _CLAIMS.sub("", filled)


def _figure(name: str) -> str:
    svg = (PROJECT / "docs/pages/figures" / f"{name}.svg").read_text(encoding="utf-8")
    return f'<figure class="drawing">\n{svg}</figure>'


def _picture(name: str) -> str:
    path = PROJECT / "benchmarks/results" / f"{name}.svg"
    if not path.is_file():
        return f'!!! warning "Not drawn yet"\n\n    `python benchmarks/{_script(name)}.py` draws it.'
    drawing = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{name.replace("_", " ")}" src="data:image/svg+xml;base64,{drawing}">'


def _results(name: str) -> str:
    path = PROJECT / "benchmarks/results" / f"{name}.md"
    command = f"`python benchmarks/{_script(name)}.py`"
    if not path.is_file():
        return f'!!! warning "Not measured yet"\n\n    {command} measures it; its table is not in this version.'
    title, *lines = path.read_text(encoding="utf-8").splitlines()
    facts = ", ".join(line.removeprefix("- ") for line in lines if line.startswith("- "))
    table = "\n".join(line.replace("| None |", "| |") for line in lines if line.startswith("|"))
    return f"**{title.removeprefix('# ')}** ({command}; {facts})\n\n{table}"


def _claim(name: str, words: str) -> str:
    """Return a table of the claims of a result that hold the words.

    Raises
    ------
    ValueError
        If none does.
    """
    claims = json.loads((PROJECT / "benchmarks/results" / f"{name}.json").read_text(encoding="utf-8"))["claims"]
    found = [claim for claim in claims if words in claim["claim"]]
    if not found:
        raise ValueError(f"{name}: no claim holds {words!r}")
    rows = [f"| {claim['claim']} | {claim['target']} | {claim['measured']} | {claim['verdict']} |" for claim in found]
    return "\n".join(["| claim | target | measured | verdict |", "|---|---|---|---|", *rows])


def _value(name: str, row: tuple[str, ...], column: str) -> str:
    """Return a cell of a result as its table shows it.

    Raises
    ------
    ValueError
        If the table has no such column, or not exactly one such row.
    """
    text = (PROJECT / "benchmarks/results" / f"{name}.md").read_text(encoding="utf-8")
    columns, _, *rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    found = [cells for cells in rows if tuple(cells[: len(row)]) == row]
    if len(found) != 1 or column not in columns:
        raise ValueError(f"{name}: {len(found)} rows begin with {'; '.join(row)!r}; its columns are {columns}")
    return found[0][columns.index(column)].strip()


def _script(result: str) -> str:
    """Name the benchmark that writes a result: the result's own name, or what it begins with."""
    folder = PROJECT / "benchmarks"
    scripts = {path.stem: path.stem for path in folder.glob("*.py")}
    scripts |= {f"evidence_{path.stem}": f"evidence/{path.stem}" for path in (folder / "evidence").glob("*.py")}
    words = result.split("_")
    starts = ("_".join(words[:count]) for count in range(len(words), 0, -1))
    return next((scripts[start] for start in starts if start in scripts), result)


def _schemas(folder: str) -> str:
    return "\n\n".join(map(_schema, sorted((PROJECT / folder / "schemas").glob("*.schema.yaml"))))


def _schema(path: Path) -> str:
    schema = yaml.safe_load(path.read_text(encoding="utf-8"))
    rows = [f"| `{key}` | {default} | {meaning} |" for key, default, meaning in _keys(schema, "")]
    head = [f"## {schema['title']}", "", schema["description"], "", "| key | default | meaning |", "|---|---|---|"]
    return "\n".join([*head, *rows])


def _keys(schema: dict[str, Any], above: str) -> Iterator[tuple[str, str, str]]:
    for key, entry in schema.get("properties", {}).items():
        meaning = " ".join(str(entry.get("description", "")).split()).replace("|", "\\|")
        if "properties" in entry:
            yield f"{above}{key}", "", meaning
            yield from _keys(entry, f"{above}{key}.")
            continue
        needed = key in schema.get("required", ())
        default = "needed" if needed else f"`{json.dumps(entry['default'])}`" if "default" in entry else ""
        yield f"{above}{key}", default, meaning


def _docstring(module: str) -> str:
    text = (PROJECT / "titans_dna" / f"{module}.py").read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring, f"{module} has no docstring"
    return re.sub(r"^=+ +=+$.*^=+ +=+$", r"```text\n\g<0>\n```", docstring, flags=re.MULTILINE | re.DOTALL)


def _help(_: str) -> str:
    import click

    from titans_dna.cli import VERBS, main

    parts = []
    with click.Context(main, info_name="titans-dna", terminal_width=100) as above:
        for verb in VERBS:
            command = main.get_command(above, verb)
            assert command is not None
            text = click.Context(command, info_name=verb, parent=above, terminal_width=100).get_help()
            parts.append(f"## {verb}\n\n{VERBS[verb]}\n\n```text\n{text}\n```")
    return "\n\n".join(parts)


def _sizes(_: str) -> str:
    import torch

    from titans_dna.model.backbone import Backbone
    from titans_dna.model.config import SIZES

    rows = ["| size | parameters | weights in memory | layers x width | attention window |", "|---|---|---|---|---|"]
    for name, config in SIZES.items():
        with torch.device("meta"):  # counts weights without making them
            count = sum(weight.numel() for weight in Backbone(config).parameters())
        shape = f"{config.layers} x {config.width}"
        rows.append(f"| `{name}` | {count:,} | {4 * count / 1e6:,.1f} MB | {shape} | {config.window_tokens} tokens |")
    return "\n".join(rows)


FILL = {
    "figure": _figure, "picture": _picture, "results": _results, "schemas": _schemas, "docstring": _docstring,
    "help": _help, "sizes": _sizes,
}  # fmt: skip
