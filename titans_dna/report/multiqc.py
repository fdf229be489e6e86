"""The figures of a sample as MultiQC reads them: columns of its general table.

MultiQC finds files that end in ``_mqc.json`` by itself (its documentation, Custom Content).
"""

from __future__ import annotations

from typing import Any

ENDING = "_mqc.json"


def multiqc_content(statistics: dict[str, Any]) -> dict[str, Any]:
    """Return custom content of MultiQC made of what `sample_statistics` returned."""
    headers: dict[str, dict[str, Any]] = {}
    values: dict[str, float] = {}

    def add(key: str, title: str, description: str, value: float | None, **how: Any) -> None:
        if value is not None:
            headers[key] = {"title": title, "description": description, "namespace": "titans-dna", **how}
            values[key] = value

    variants = statistics.get("variants", {})
    if variants:
        outcomes = variants["outcomes"]
        add("td_alleles", "Alleles", "ALT alleles read", variants["alleles"], format="{:,.0f}", scale="Blues")
        add(
            "td_scored",
            "Scored",
            "ALT alleles with a score",
            outcomes.get("scored", 0),
            format="{:,.0f}",
            scale="Blues",
        )
        add("td_llr", "Median LLR", "median of ln P(ALT) - ln P(REF), nats", variants["llr"].get("0.5"), scale="RdYlGn")
        for row in variants["separation"][:1]:
            add("td_auroc", "AUROC", f"scores against the known truth, {row['group']}", row["auroc"], min=0, max=1)
    regions = statistics.get("regions", {})
    if regions:
        add("td_regions", "Regions", "regions read", regions["regions"], format="{:,.0f}", scale="Purples")
        bits = regions["bits_per_base"].get("0.5")
        add("td_bits", "Bits per base", "median of the regions; 2 is chance", bits, min=0, max=2)
    if "embeddings" in statistics:
        count = statistics["embeddings"]["regions"]
        add("td_embedded", "Embedded", "regions with an embedding", count, format="{:,.0f}", scale="Greens")
    if "classes" in statistics:
        accuracy = statistics["classes"]["accuracy"]
        add("td_accuracy", "Accuracy", "predicted classes against labels", accuracy, min=0, max=1)
    return {
        "id": "titans_dna", "plot_type": "generalstats", "file_format": "json",
        "pconfig": [{key: header} for key, header in headers.items()],
        "data": {statistics["sample"]: values},
    }  # fmt: skip
