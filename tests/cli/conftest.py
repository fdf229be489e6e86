"""A tiny genome, and a model that has been trained on it through the command line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from toy import cache, toy_sequences, write_fasta  # noqa: F401 - the cache is a fixture

from titans_dna.cli import main

LENGTHS = {"chrA": 900, "chrB": 500, "chr2": 400}


@pytest.fixture(scope="session")
def run() -> Callable[..., Result]:
    """Call the command line in this process."""

    def call(*arguments: object, **settings) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments], **settings)

    return call


@pytest.fixture(scope="session")
def sequences() -> dict[str, str]:
    return toy_sequences(LENGTHS)


@pytest.fixture(scope="session")
def genome(tmp_path_factory, sequences) -> Path:
    return write_fasta(tmp_path_factory.mktemp("genome"), sequences)


@pytest.fixture(scope="session")
def pretrain_arguments(genome) -> tuple[object, ...]:
    return (
        "pretrain", "--fasta", genome, "--holdout", "2", "--config", "nano", "--steps", 3, "--lanes", 2,
        "--window-tokens", 64, "--evaluate-every", 2, "--seed", 4, "--device", "cpu",
    )  # fmt: skip


@pytest.fixture(scope="session")
def model(tmp_path_factory, run, pretrain_arguments) -> Path:
    folder = tmp_path_factory.mktemp("models") / "toy"
    result = run(*pretrain_arguments, "--output", folder)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="session")
def variants(tmp_path_factory, sequences) -> Path:
    """Every outcome but those that need a file of their own."""
    a, b, two = (sequences[name] for name in ("chrA", "chrB", "chr2"))

    def other(base: str) -> str:
        return "ACGT"["ACGT".index(base) - 1]

    rows = [
        ("chrA", 10, a[9], other(a[9])),
        ("chrA", 20, a[19], f"{other(a[19])},{a[19]}ACG,*,<DEL>"),
        ("chrA", 30, a[29:33], a[29]),
        ("chrA", 40, a[39], "."),
        ("chrA", 50, other(a[49]), a[49]),
        ("chrA", 901, "A", "C"),
        ("chrB", 110, "N", "C"),
        ("chrB", 160, b[159].upper(), other(b[159].upper())),
        ("2", 100, two[99], two[99] + "ACGT" * 300),
        ("2", 400, two[399], other(two[399])),
        ("chrZ", 5, "A", "C"),
    ]
    lines = ["##fileformat=VCFv4.2", '##INFO=<ID=TRUTH,Number=1,Type=String,Description="label">']
    lines += ["#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    lines += [f"{chrom}\t{pos}\tv{i}\t{ref}\t{alt}\t.\t.\tTRUTH=x" for i, (chrom, pos, ref, alt) in enumerate(rows)]
    path = tmp_path_factory.mktemp("variants") / "toy.vcf"
    path.write_text("\n".join(lines) + "\nchrA\tten\tbad\tA\tC\t.\t.\t.\n")
    return path


@pytest.fixture(scope="session")
def bed(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("regions") / "toy.bed"
    rows = [
        "chrA\t100\t200\tone\t0\t-",
        "A\t0\t900\twhole",
        "chrB\t100\t150\tgap",
        "chrZ\t5\t9\tnowhere",
        "chr2\t390\t900\tend",
    ]
    path.write_text("track name=x\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture
def default_model(model, sequences, tmp_path, monkeypatch) -> Path:
    """The toy model as the default one of the package, with its self-test."""
    from titans_dna import checkpoints
    from titans_dna.training.self_test import write_self_test

    folder = tmp_path / "package" / checkpoints.DEFAULT
    shutil.copytree(model, folder)
    write_self_test(folder, sequences["chrA"], "chrA of the toy genome")
    monkeypatch.setattr(checkpoints, "FOLDER", folder.parent)
    return folder
