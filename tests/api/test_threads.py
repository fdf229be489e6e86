"""A model that is asked by several threads at once gives each what it would give it alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch


def test_threads_do_not_disturb_each_other(model, fasta, sequences, same):
    bases = sequences["chrA"]
    variants = [f"chrA:{at + 1}:{bases[at]}:{'ACGT'['ACGT'.index(bases[at]) - 1]}" for at in range(20, 600, 29)]
    calls = {
        "variants": lambda: model.score_variants(variants, fasta),
        "regions": lambda: model.score_regions(["chrA:10-400", "chrB:1-90"], fasta),
        "generated": lambda: model.generate("chrA:1-300", fasta, bases=40, number=2),
        "likelihood": lambda: model.log_likelihood(bases),
        "embeddings": lambda: model.embed(["chrA:10-400", "chrB:1-90"], fasta),
    }
    alone, threads = {name: call() for name, call in calls.items()}, torch.get_num_threads()
    with ThreadPoolExecutor(4) as pool:
        asked = [(name, pool.submit(calls[name])) for _ in range(4) for name in calls]
        together = [(name, each.result()) for name, each in asked]
    for name, found in together:
        if isinstance(found, np.ndarray):
            assert np.array_equal(found, alone[name], equal_nan=True), name
        else:
            same(found, alone[name])
    assert torch.get_num_threads() == threads
