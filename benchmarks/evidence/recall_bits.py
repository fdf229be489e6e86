"""What is what was read far back worth? Bits per base of held-out sequence with the copy memory, and by the distance of
the copy; of sequence whose relatives were read before; of satellites; and where there is nothing to recall.

*Carried* is one pass. *Reset* puts every memory, the copy memory among them, back to its start every 1,024 bases.
*No copies* recalls nothing and is the same else; *frozen* never writes to the deep memory and is the same else. The
distance is that of the place with the most hits, of those that were followed at a base. Relatives are read into the
copy memory alone (nothing of them passes the network), and nothing of what is read after them was in training.

    python benchmarks/evidence/recall_bits.py --budget full      # about 40 minutes on one core
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from models import default
from read_before import state_after
from reading import bits_along
from records import unpack
from sequences import ids_of
from setting import COLOURS, DEMO, INK, Setting, claim, one_thread, plotting, read_setting, save_figure

from titans_dna.inference.model import SequenceModel, load_model
from titans_dna.inference.streaming import inputs_before, stream_bases
from titans_dna.loading.genomes import open_genome
from titans_dna.recall import CopyMemory, RecallState, recall

MEMORY = ("carried", "reset", "no copies", "frozen")
NEAR_BP = (1_000, 10_000, 100_000)  # borders of the distances that are told apart
DISTANCES = ("within 1 kb", "1 to 10 kb", "10 to 100 kb", "over 100 kb", "no place")
COLUMNS = [
    "sequence",
    "bases",
    *MEMORY,
    *(f"gain, {name}" for name in DISTANCES),
    *(f"share, {name}" for name in DISTANCES),
]
RANDOM = "random bases"
HUMAN = ("human chr20", "human BRCA1", "human ENm002", "human ENm001")
# target of carried bits, and of the gain over reset, on each sequence; None where none was set
TARGETS: dict[str, tuple[float | None, float | None]] = {
    "human chr20": (1.700, 0.08), "yeast XII": (1.790, 0.04), "S. pombe III": (1.813, 0.04),
    "human BRCA1": (1.474, None), "human ENm002": (1.285, 0.025),
}  # fmt: skip
KNOWN = {
    "human chr20": "JARVIS3 1.708, GeCo3 1.760", "yeast XII": "JARVIS3 1.820, GeCo3 1.820",
    "S. pombe III": "JARVIS3 1.813, GeCo3 1.815", "human BRCA1": "JARVIS3 1.474, GeCo3 1.525",
}  # fmt: skip
BEFORE: dict[str, float] = {  # bits at most, of a sequence after its relatives
    "E. coli W after K-12": 0.50, "human ENm002 after baboon": 0.62, "yeast XII after the other contigs": 1.76,
    "LPA HG002#0 after CHM13": 0.05,
}  # fmt: skip
SATELLITE = {0.0: 0.05, 0.1: 0.75}  # bits at most of a 171-base satellite after 10 kb, by divergence
UNIT_BP, SATELLITE_BP, LEARNED_BP = 171, 30_000, 10_000
EXAMPLE_BP = 6_000  # of the figure that shows where each base's help came from
CHOSEN_ON = (
    "human chr22:20,000,001-21,000,000 and yeast IV:1-700,000, both of the training set; the first nine forms of words "
    "were compared on chr20, and leading_run was first tried on needles, chr20 and yeast XII, so these two are not "
    "wholly untouched; which of two leading places is heard was chosen on needles of another seed"
)
LOSS = 0.001  # bits that a copy memory may cost where there is nothing to recall


def held_out(setting: Setting) -> dict[str, np.ndarray]:
    """Return the ids of every sequence that is read by itself."""
    made = np.random.default_rng(setting.seed).integers(0, 4, 200_000 if setting.full else 8_000).astype(np.uint8)
    if not setting.full:
        return {"demo chrC": ids_of(DEMO, "chrC")[:30_000], RANDOM: made}
    data = setting.data
    files = {
        "human chr20": ("human/hg19_chr20_1Mb.fa.gz", None), "human BRCA1": ("human/hg19_brca1_region.fa", None),
        "human ENm002": ("mammals/encode_ENm002.fa.gz", "human"),
        "human ENm001": ("mammals/encode_ENm001.fa.gz", "human"),
        "yeast XII": ("genomes/yeast_R64-1-1.fa.gz", "XII"), "S. pombe III": ("genomes/pombe_ASM294v2.fa.gz", "III"),
        "phage lambda": ("genomes/lambda_NC_001416.1.fa", None),
    }  # fmt: skip
    found = {name: whole_sequence(data / file, contig) for name, (file, contig) in files.items()}
    return {**found, RANDOM: made}


def whole_sequence(path: Path, contig: str | None) -> np.ndarray:
    """Return the ids of a contig; of a mammal's, whose names repeat, by species."""
    if "mammals" in path.parts:
        return species(path)[contig or "human"][0]
    return ids_of(path, contig)


def species(path: Path) -> dict[str, list[np.ndarray]]:
    """Return the sequences of every species of an ENCODE region."""
    import gzip

    from titans_dna.tokenizers import NucleotideTokenizer

    found: dict[str, list[np.ndarray]] = {}
    with gzip.open(path, "rb") as file:
        for record in file.read().split(b">")[1:]:
            head, _, body = record.partition(b"\n")
            ids = NucleotideTokenizer().encode(body.replace(b"\n", b""))
            found.setdefault(head.decode().split("|")[0].strip(), []).append(ids)
    return found


def relatives(setting: Setting) -> dict[str, tuple[list[np.ndarray], np.ndarray]]:
    """Return what is read before, and what is read after it."""
    if not setting.full:
        ids = ids_of(DEMO, "chrC")[:12_000]
        other = np.where(np.random.default_rng(1).random(len(ids)) < 0.02, 3 - np.minimum(ids, 3), ids)
        return {"demo chrC after a relative": ([other.astype(np.uint8)], ids)}
    data = setting.data
    yeast = open_genome(data / "genomes/yeast_R64-1-1.fa.gz")
    lpa = open_genome(data / "relatives/LPA.fa.gz")
    first, second = (next(n for n in lpa.contigs.names if n.lower().startswith(s)) for s in ("chm13", "hg002#0"))
    mammals = species(data / "mammals/encode_ENm002.fa.gz")
    return {
        "E. coli W after K-12": (
            [ids_of(data / "genomes/ecoli_k12_NC_000913.3.fna.gz")], ids_of(data / "relatives/ecoli_W.fa.gz")
        ),
        "human ENm002 after baboon": (mammals["baboon"], mammals["human"][0]),
        "yeast XII after the other contigs": (
            [yeast.ids_of(c) for c in yeast.contigs.names if c != "XII"], yeast.ids_of("XII")
        ),
        "LPA HG002#0 after CHM13": ([lpa.ids_of(first)], lpa.ids_of(second)),
    }  # fmt: skip


def bits_after(model: SequenceModel, before: list[np.ndarray], ids: np.ndarray) -> np.ndarray:
    """Return the bits of each base where relatives lie in the copy memory; the network reads ``ids`` alone."""
    pieces = stream_bases(model.backbone, ids, model.bos, state=state_after(model, before))
    return np.concatenate([piece.log_probabilities for piece in pieces]) / -math.log(2)


def best_places(model: SequenceModel, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return, for every base, the distance of the place that foretold it best so far (0 for none); is it inverted?"""
    form = model.backbone.config.recall
    assert form is not None
    read = inputs_before(ids, model.bos, len(ids))
    found = recall(RecallState(memory=CopyMemory(form)), read, sources=True)
    assert found.sources is not None
    records = unpack(found.codes)
    rank = np.where(records.held, records.hits * 64 + records.run, -1)
    best = rank.argmax(1)[:, None]
    near = np.arange(1, len(read) + 1) - np.take_along_axis(found.sources, best, 1)[:, 0]
    held = records.held.any(1)
    return np.where(held, near, 0), held & np.take_along_axis(records.inverted, best, 1)[:, 0]


def example(gain: np.ndarray, distance: np.ndarray, inverted: np.ndarray) -> dict[str, Any]:
    """Return the stretch of a sequence in which copies help most, of those that lie half in copies at the most."""
    starts = np.arange(0, len(gain) - EXAMPLE_BP, 500)
    sums, placed = np.cumsum(np.nan_to_num(gain)), np.cumsum(distance > 0)
    saved = sums[starts + EXAMPLE_BP] - sums[starts]
    share = (placed[starts + EXAMPLE_BP] - placed[starts]) / EXAMPLE_BP
    start = int(starts[np.where(share < 0.6, saved, -np.inf).argmax()])
    part = slice(start, start + EXAMPLE_BP)
    values = {
        "gain": np.nan_to_num(gain[part]).round(3),
        "distance": distance[part],
        "inverted": inverted[part].astype(int),
    }
    return {"start": start, **{name: x.tolist() for name, x in values.items()}}


def read_sequence(model: SequenceModel, ids: np.ndarray) -> dict[str, Any]:
    """Return bits per base by memory, and the gain of carrying by distance: of all bases, and of each of them."""
    bits = {memory: bits_along(model, ids, memory).astype(np.float64) for memory in MEMORY}
    known = np.isfinite(bits["carried"])
    gain, (distance, inverted) = bits["reset"] - bits["carried"], best_places(model, ids)
    where = np.where(distance > 0, np.searchsorted(NEAR_BP, distance, side="right"), len(NEAR_BP) + 1)
    parts = [known & (where == index) for index in range(len(DISTANCES))]
    return {
        "bases": int(known.sum()), **{memory: float(x[known].mean()) for memory, x in bits.items()},
        "gain": [float(gain[part].sum() / known.sum()) for part in parts],
        "share": [float(part.sum() / known.sum()) for part in parts],
        "example": example(gain, distance, inverted) if len(ids) > EXAMPLE_BP else None,
    }  # fmt: skip


def satellite_bits(model: SequenceModel, divergence: float, seed: int, bases: int, learned: int) -> float:
    """Return the bits of a made satellite, behind its first bases."""
    random = np.random.default_rng([seed, int(100 * divergence)])
    ids = np.tile(random.integers(0, 4, UNIT_BP), bases // UNIT_BP + 1)[:bases]
    changed = random.random(bases) < divergence
    ids[changed] = (ids[changed] + random.integers(1, 4, int(changed.sum()))) % 4
    return float(bits_along(model, ids.astype(np.uint8), "carried")[learned:].mean())


def measure(model: SequenceModel, setting: Setting) -> dict[str, Any]:
    """Read everything; each case is kept."""
    key, found = model.weights_sha256, {"alone": {}, "before": {}, "satellites": {}}
    for name, ids in held_out(setting).items():
        found["alone"][name] = setting.once(f"recall_{name}", lambda x=ids: read_sequence(model, x), key)
    for name, (before, ids) in relatives(setting).items():
        found["before"][name] = setting.once(
            f"recall_{name}", lambda b=before, x=ids: {"bits": float(np.nanmean(bits_after(model, b, x)))}, key
        )
    sizes = (SATELLITE_BP, LEARNED_BP) if setting.full else (4_000, 2_000)
    for share in SATELLITE:
        found["satellites"][str(share)] = setting.once(
            f"recall_satellite{share}", lambda s=share: {"bits": satellite_bits(model, s, setting.seed, *sizes)}, key
        )
    return found


def claims(found: dict[str, Any], full: bool) -> list[dict[str, str]]:
    """Return what is claimed, and whether it holds."""
    out, alone = [], found["alone"]
    for name, (most, gain) in TARGETS.items():
        row = alone.get(name)
        known = f"; {KNOWN[name]}" if name in KNOWN else ""
        told = f"{row['carried']:.3f}{known}" if row else "-"
        out.append(
            claim(f"Bits per base of {name}, carried", f"at most {most:.3f}", told, row and row["carried"] <= most)
        )
        if gain is not None:
            told = f"{row['reset'] - row['carried']:.3f}" if row else "-"
            holds = row and row["reset"] - row["carried"] >= gain
            out.append(claim(f"Carried over a reset every 1,024 bases, {name}", f"at least {gain}", told, holds))
    for name in ("human chr20", "yeast XII"):
        row = alone.get(name)
        gain = row and row["frozen"] - row["carried"]
        text = f"Beside the copy memory the deep memory earns something on {name}"
        out.append(claim(text, "written over frozen: above 0 bits", f"{gain:+.4f}" if row else "-", row and gain > 0))
    rows = {name: alone[name]["gain"][3] for name in HUMAN if name in alone}
    told = ", ".join(f"{name.removeprefix('human ')} {x:+.4f}" for name, x in rows.items()) or "-"
    target = "above 0 on every human sequence, bits per base of the whole"
    out.append(claim("Copies over 100 kb back help", target, told, all(x > 0 for x in rows.values()) if rows else None))
    for name, most in BEFORE.items():
        bits = found["before"].get(name, {}).get("bits")
        out.append(
            claim(
                f"Bits per base of {name}, merely read",
                f"at most {most}",
                f"{bits:.3f}" if bits else "-",
                bits and bits <= most,
            )
        )
    for share, most in SATELLITE.items():
        bits = found["satellites"][str(share)]["bits"] if full else None
        text = f"A {UNIT_BP}-base satellite, {share:.0%} diverged, after {LEARNED_BP // 1000} kb"
        out.append(
            claim(
                text,
                f"at most {most} bits per base",
                "-" if bits is None else f"{bits:.3f}",
                None if bits is None else bits <= most,
            )
        )
    for name in ("phage lambda", RANDOM):
        row = alone.get(name) if full else None
        loss = row and row["carried"] - row["no copies"]
        text, told = f"Where there is nothing to recall, the copy memory costs nothing ({name})", "-"
        if row:
            told = f"{loss:+.5f} bits against the same model that recalls nothing"
        out.append(claim(text, f"at most {LOSS} bits", told, None if loss is None else loss <= LOSS))
    return out


def draw(found: dict[str, Any], path: Path) -> None:
    """Write the figure: the gain of carrying by the distance of the copy, a bar for each sequence."""
    plt = plotting()
    rows = {name: row for name, row in found["alone"].items() if name != RANDOM}
    figure, axis = plt.subplots(figsize=(6.8, 3.4))
    left = np.zeros(len(rows))
    for index, (name, colour) in enumerate(zip(DISTANCES, (*COLOURS.values(), INK), strict=False)):
        values = np.array([row["gain"][index] for row in rows.values()])
        axis.barh(list(rows), values, left=np.where(values >= 0, left, 0), color=colour, label=name, height=0.62)
        left += np.maximum(values, 0)
    for place, row in enumerate(rows.values()):
        axis.annotate(
            f"{row['reset']:.3f} to {row['carried']:.3f}",
            (left[place], place),
            xytext=(4, -3),
            textcoords="offset points",
            fontsize=7,
        )
    axis.invert_yaxis()
    axis.margins(x=0.18)
    axis.set(xlabel="bits per base that all before saves over the last 1,024 bases alone, by distance of the copy")
    axis.grid(alpha=0.25, axis="x")
    axis.legend(fontsize=7, loc="lower right")
    figure.tight_layout()
    save_figure(figure, path)


def draw_example(row: dict[str, Any], name: str, path: Path) -> None:
    """Write the figure of one stretch: how far away each base's best place lies, and what it saved."""
    plt, shown = plotting(), row["example"]
    distance, inverted = np.array(shown["distance"]), np.array(shown["inverted"]) > 0
    x = shown["start"] + 1 + np.arange(EXAMPLE_BP)
    figure, (above, below) = plt.subplots(2, 1, figsize=(6.8, 3.8), sharex=True, height_ratios=(3, 2))
    for mask, colour, label in ((~inverted, "blue", "copy"), (inverted, "orange", "inverted copy")):
        mask = mask & (distance > 0)
        above.plot(x[mask], distance[mask], ".", ms=1.5, color=COLOURS[colour], label=label)
    above.set(yscale="log", ylabel="bases back to the place", title=f"{name}, bases {x[0]:,} to {x[-1]:,}")
    above.legend(fontsize=7, markerscale=5, loc="upper right")
    smooth = np.convolve(shown["gain"], np.full(25, 1 / 25), "same")
    below.fill_between(x, 0, smooth, color=COLOURS["green"], lw=0)
    below.axhline(0, color=INK, lw=0.6)
    below.set(ylabel="bits saved a base", xlabel="base of the sequence (mean of 25)")
    for axis in (above, below):
        axis.grid(alpha=0.25)
    figure.tight_layout()
    save_figure(figure, path)


def main() -> None:
    """Measure, and write table, claims and figure."""
    options = read_setting(__doc__, lambda parser: parser.add_argument("--model", default="default"))
    setting = options.setting
    one_thread()
    model = default() if options.model == "default" else load_model(options.model, "cpu")
    with torch.inference_mode():
        found = measure(model, setting)
    rows = [
        [name, row["bases"], *(round(row[m], 4) for m in MEMORY), *(round(x, 4) for x in (*row["gain"], *row["share"]))]
        for name, row in found["alone"].items()
    ]
    setting.write(
        "recall_bits", "What was read far back: bits per base with the copy memory", COLUMNS, rows,
        claims(found, setting.full), model=f"{model.name} {model.weights_sha256[:12]}",
        read_before={name: round(x["bits"], 4) for name, x in found["before"].items()},
        satellites={f"{float(k):.0%} diverged": round(x["bits"], 4) for k, x in found["satellites"].items()},
        settings_chosen_on=CHOSEN_ON,
    )  # fmt: skip
    draw(found, setting.results / "evidence_recall_bits.svg")
    name = next(iter(found["alone"]))
    draw_example(found["alone"][name], name, setting.results / "evidence_recall_bits_example.svg")


if __name__ == "__main__":
    main()
