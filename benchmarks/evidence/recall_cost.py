"""What does the copy memory cost? Speed of streaming and training beside the same model without it, bytes per base, the
time of what is hard to look up, and what is lost where only some of the words are written, as a whole genome needs.

Speeds are medians of runs in turn, in processor time of one thread. Bytes are resident memory, not what was reserved.

    python benchmarks/evidence/recall_cost.py --budget full      # about 8 minutes on one core
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from models import default
from recall_bits import bits_after, species, whole_sequence
from sequences import ids_of
from setting import COLOURS, DEMO, INK, Setting, claim, one_thread, plotting, read_setting, save_figure

from titans_dna.inference.model import SequenceModel, load_model
from titans_dna.loading.lanes import Contig
from titans_dna.model.backbone import Backbone
from titans_dna.recall import CopyMemory, RecallForm, RecallState, recall
from titans_dna.training.config import TrainingConfig
from titans_dna.training.loop import Trainer

COLUMNS = ["measure", "with copies", "without, or compared", "ratio", "unit"]
ROUNDS = 7
GENOME_BASES, GENOME_GB = 3_100_000_000, 24
SAMPLED = (8, 8)  # one word in so many is written, in the form for a whole genome
LEAST_SPEED, MOST_BYTES, MOST_HARD = 0.85, 8.0, 2.0


def seconds(*calls: Callable[[], Any], rounds: int = ROUNDS) -> list[float]:
    """Return the median processor seconds of each call, taken in turn after one round that is not counted."""
    taken: list[list[float]] = [[] for _ in calls]
    for turn in range(rounds + 1):
        for call, times in zip(calls, taken, strict=True):
            started = time.thread_time()
            call()
            if turn:
                times.append(time.thread_time() - started)
    return [statistics.median(times) for times in taken]


def without_copies(model: Backbone) -> Backbone:
    """Return the same model without a copy memory."""
    bare = Backbone(replace(model.config, recall=None))
    bare.load_state_dict({n: x for n, x in model.state_dict().items() if not n.startswith("trust.")})
    return bare.eval()


def streaming(model: SequenceModel, ids: np.ndarray) -> dict[str, float]:
    """Return seconds of streaming, with and without copies."""
    tokens = torch.from_numpy(ids.astype(np.int64))[None]
    bare = without_copies(model.backbone)

    def stream(backbone: Backbone) -> None:
        with torch.inference_mode():
            state = None
            for piece in tokens.split(4096, 1):
                state = backbone.stream(piece, state).state

    own, other = seconds(lambda: stream(model.backbone), lambda: stream(bare))
    return {"with": own / len(ids), "without": other / len(ids)}


def training(model: SequenceModel, ids: np.ndarray, rounds: int) -> dict[str, float]:
    """Return seconds of a training step, with and without copies; what is recalled was computed before."""
    config = replace(model.backbone.config, word_counts=None)
    settings = TrainingConfig(steps=1000, lanes=16, window_tokens=1024)
    trainers = [Trainer(Backbone(c), [Contig(codes=ids)], settings) for c in (config, replace(config, recall=None))]
    own, other = seconds(*(trainer.step for trainer in trainers), rounds=rounds)
    return {"with": own, "without": other}


def resident() -> int:
    """Return the bytes of this process that lie in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def holding(form: RecallForm, sequences: list[np.ndarray]) -> dict[str, float]:
    """Return bytes per base of a memory that holds so much, and the seconds per million bases of reading it in."""
    CopyMemory(form).append(np.zeros(1000, dtype=np.uint8))  # compiled before it is timed
    bases, before, started = sum(map(len, sequences)), resident(), time.thread_time()
    memory = CopyMemory(form)
    for ids in sequences:
        memory.append(np.append(ids, np.uint8(4)))
    taken = time.thread_time() - started
    tables = sum(index[0].nbytes + index[1].nbytes for index in memory._indexes)
    return {"bases": bases, "bytes": resident() - before, "tables": tables, "seconds": taken / bases * 1e6}


def recall_all(form: RecallForm, ids: np.ndarray) -> None:
    """Recall along a sequence, from an empty memory."""
    recall(RecallState(memory=CopyMemory(form)), ids)


def in_process_of_its_own(form: RecallForm, sequences: list[np.ndarray]) -> dict[str, float]:
    """Return what ``holding`` finds where nothing else has used and freed memory before."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(holding, form, sequences).result()


def hard(form: RecallForm, bases: int, plain: np.ndarray) -> dict[str, float]:
    """Return microseconds a base of recalling ordinary and repetitive sequence."""
    random = np.random.default_rng(1)
    unit = np.tile(random.integers(0, 4, 171), bases // 171 + 1)[:bases]
    near = np.where(random.random(bases) < 0.1, random.integers(0, 4, bases), unit)
    kinds = {
        "ordinary": plain[:bases], "one base": np.zeros(bases), "two bases in turn": np.arange(bases) % 2,
        "satellite": unit, "satellite, 10% diverged": near,
    }  # fmt: skip
    calls = [partial(recall_all, form, ids.astype(np.uint8)) for ids in kinds.values()]
    return dict(zip(kinds, (1e6 * s / bases for s in seconds(*calls, rounds=3)), strict=True))


def sampling(model: SequenceModel, setting: Setting) -> dict[str, float]:
    """Return bits of human ENm002 after baboon where all words are written, and one in eight."""
    mammals = species(setting.data / "mammals/encode_ENm002.fa.gz")
    ids = mammals["human"][0][:300_000]
    config, found = model.backbone.config, {}
    for name, form in (("with", config.recall), ("sampled", replace(config.recall, sample_every=SAMPLED))):
        model.backbone.config = replace(config, recall=form)
        found[name] = float(np.nanmean(bits_after(model, mammals["baboon"], ids)))
    model.backbone.config = config
    return found


def measure(model: SequenceModel, setting: Setting) -> dict[str, Any]:
    """Measure everything; each case is kept."""
    key, form = model.weights_sha256, model.backbone.config.recall
    assert form is not None
    plain = whole_sequence(setting.data / "human/hg19_chr20_1Mb.fa.gz", None) if setting.full else ids_of(DEMO, "chrC")
    size, rounds = (131_072, ROUNDS) if setting.full else (8_192, 1)
    found = {
        "streaming": setting.once("recall_streaming", lambda: streaming(model, plain[:size]), key),
        "training": setting.once("recall_training", lambda: training(model, plain[: 8 * size], rounds), key),
        "hard": setting.once("recall_hard", lambda: hard(form, 200_000 if setting.full else 20_000, plain), key),
    }  # fmt: skip
    if not setting.full:
        return found
    data = setting.data
    files = ["genomes/yeast_R64-1-1.fa.gz", "genomes/pombe_ASM294v2.fa.gz", "genomes/ecoli_k12_NC_000913.3.fna.gz"]
    from titans_dna.loading.genomes import open_genome

    genomes = [open_genome(data / name) for name in (*files, "human/hg19_chr22_1-22000000.fa.gz")]
    sequences = [g.ids_of(c)[-5_949_999:] for g in genomes for c in g.contigs.names]
    for name in ("ENm001", "ENm002"):
        sequences += [x for many in species(data / f"mammals/encode_{name}.fa.gz").values() for x in many]
    whole = replace(form, sample_every=SAMPLED)
    found["holding"] = setting.once("recall_holding", lambda: in_process_of_its_own(form, sequences), key)
    found["holding sampled"] = setting.once(
        "recall_holding_sampled", lambda: in_process_of_its_own(whole, sequences), key
    )
    found["sampling"] = setting.once("recall_sampling", lambda: sampling(model, setting), key)
    return found


def rows_and_claims(found: dict[str, Any]) -> tuple[list[list[Any]], list[dict[str, str]]]:
    """Return the table, and what is claimed."""
    rows, out = [], []
    for name in ("streaming", "training"):
        own, other = found[name]["with"], found[name]["without"]
        unit, scale = ("microseconds a base", 1e6) if name == "streaming" else ("seconds a step of 16,384 bases", 1)
        rows.append(
            [f"{name}, processor time", round(own * scale, 3), round(other * scale, 3), round(other / own, 3), unit]
        )
        text = f"Speed of {name} beside the same model without copies"
        out.append(claim(text, f"at least {LEAST_SPEED}", f"{other / own:.3f}", other / own >= LEAST_SPEED))
    hard = found["hard"]
    for name, taken in hard.items():
        rows.append(
            [
                f"recall alone, {name}",
                round(taken, 3),
                round(hard["ordinary"], 3),
                round(taken / hard["ordinary"], 2),
                "microseconds a base",
            ]
        )
    worst = max(hard.values()) / hard["ordinary"]
    out.append(
        claim(
            "Repeats cost no more to recall than ordinary sequence",
            f"at most {MOST_HARD} times",
            f"{worst:.2f} times, the worst",
            worst <= MOST_HARD,
        )
    )
    if "holding" in found:
        kept, sampled = found["holding"], found["holding sampled"]
        each = kept["bytes"] / kept["bases"]
        rows.append(
            [
                f"memory that holds {kept['bases'] / 1e6:.0f} Mb",
                round(each, 2),
                round(kept["tables"] / 1e6),
                "",
                "bytes a base; of them tables, MB",
            ]
        )
        rows.append(
            [
                "reading it in",
                round(kept["seconds"], 3),
                round(sampled["seconds"], 3),
                "",
                "seconds a Mb; one word in 8",
            ]
        )
        out.append(
            claim(
                f"Memory of {kept['bases'] / 1e6:.0f} Mb",
                f"at most {MOST_BYTES:.0f} bytes a base",
                f"{each:.2f}",
                each <= MOST_BYTES,
            )
        )
        slope = (sampled["bytes"] - sampled["tables"]) / sampled["bases"]
        genome = (slope * GENOME_BASES + sampled["tables"]) / 1e9
        rows.append(
            [
                "the same, one word in 8",
                round(sampled["bytes"] / sampled["bases"], 2),
                round(sampled["tables"] / 1e6),
                "",
                "bytes a base; of them tables, MB",
            ]
        )
        text = (
            f"A human genome fits in {GENOME_GB} GB (one word in 8; extrapolated from {sampled['bases'] / 1e6:.0f} Mb)"
        )
        out.append(claim(text, f"at most {GENOME_GB} GB", f"{genome:.1f} GB", genome <= GENOME_GB))
        own, less = found["sampling"]["with"], found["sampling"]["sampled"]
        rows.append(
            ["human ENm002 after baboon, 300 kb", round(own, 4), round(less, 4), "", "bits a base; one word in 8"]
        )
    return rows, out


def draw(found: dict[str, Any], path: Path) -> None:
    """Write the figure: what it takes to recall along ordinary and along repetitive sequence."""
    plt = plotting()
    figure, axis = plt.subplots(figsize=(6.4, 2.4))
    axis.barh(list(found["hard"]), list(found["hard"].values()), color=COLOURS["blue"], height=0.6)
    axis.axvline(MOST_HARD * found["hard"]["ordinary"], color=INK, ls="--", lw=0.8)
    axis.invert_yaxis()
    axis.set(xlabel="microseconds a base to recall, without the network (dashed: twice ordinary sequence)")
    axis.grid(alpha=0.25, axis="x")
    figure.tight_layout()
    save_figure(figure, path)


def main() -> None:
    """Measure, and write table and claims."""
    options = read_setting(__doc__, lambda parser: parser.add_argument("--model", default="default"))
    setting = options.setting
    one_thread()
    model = default() if options.model == "default" else load_model(options.model, "cpu")
    found = measure(model, setting)
    rows, out = rows_and_claims(found)
    setting.write(
        "recall_cost",
        "What the copy memory costs",
        COLUMNS,
        rows,
        out,
        model=f"{model.name} {model.weights_sha256[:12]}",
    )
    draw(found, setting.results / "evidence_recall_cost.svg")


if __name__ == "__main__":
    main()
