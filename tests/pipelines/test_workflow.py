"""The workflow: what it plans and refuses, its style, and that it works from any folder and in another workflow."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

pytest.importorskip("snakemake", reason="snakemake is not installed")
jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")

RULES = ["pretrain", "evaluate", "score_variants", "score_regions", "embed", "report"]

#: Stands in for the real verb: writes down how it was called, and whatever file it was asked for.
STAND_IN = """#!{python}
import sys, pathlib
verb, options = sys.argv[1], dict(zip(sys.argv[2::2], sys.argv[3::2]))
pathlib.Path("calls.txt").open("a").write(" ".join(sys.argv[1:]) + "\\n")
output = pathlib.Path(options["--output"])
names = ["config.json", "model.safetensors", "tokenizer.json", "training.json", "log.csv"]
outputs = [output / name for name in names] if verb == "pretrain" else [output]
outputs += [pathlib.Path(options["--track"])] if "--track" in options else []
outputs += [pathlib.Path(f"{{output}}.tbi")] if verb == "score-variants" else []
for path in outputs:
    path.parent.mkdir(exist_ok=True)
    path.write_text(verb)
"""


def snakemake(folder: Path, *arguments: str | Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run snakemake in a folder, with caches of its own and without any proxy to reach a network."""
    environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    environment |= {"HOME": str(folder), "XDG_CACHE_HOME": str(folder / ".cache")}
    environment["PATH"] = os.pathsep.join(filter(None, [path and str(path), environment["PATH"]]))
    command = [sys.executable, "-m", "snakemake", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def output_of(done: subprocess.CompletedProcess[str]) -> str:
    """Both streams as one line."""
    return " ".join((done.stdout + done.stderr).split())


@pytest.fixture(scope="module")
def schema(project) -> dict:
    return yaml.safe_load((project / "pipelines/schemas/config.schema.yaml").read_text())


@pytest.fixture
def stand_in(tmp_path) -> Path:
    """A folder for PATH with a `titans-dna` that only writes down how it was called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "titans-dna").write_text(STAND_IN.format(python=sys.executable))
    (folder / "titans-dna").chmod(0o755)
    return folder


def test_dry_run_from_another_folder_plans_the_demo(project, tmp_path):
    done = snakemake(tmp_path, "--snakefile", project / "Snakefile", "--cores", 2, "--dry-run", "--printshellcmds")
    assert done.returncode == 0, done.stderr
    text = done.stdout + done.stderr
    for rule in RULES:
        assert re.search(rf"^{rule} +1$", text, re.MULTILINE), rule
    commands = re.findall(r"titans-dna .*", text)
    assert len(commands) == 6
    assert f"--fasta {project}/data/demo.fa --holdout chrC" in commands[0]
    assert all("--output results/demo/" in command for command in commands)


def test_lint_is_clean(project, tmp_path):
    done = snakemake(tmp_path, "--snakefile", project / "Snakefile", "--lint")
    assert done.returncode == 0
    assert "in a good condition" in output_of(done)


def test_format_is_clean(project):
    pytest.importorskip("snakefmt", reason="snakefmt is not installed")
    command = [sys.executable, "-m", "snakefmt.snakefmt", "--check", "Snakefile", "pipelines/rules"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("pretrain={stpes: 5}", r"settings\['pretrain'\]: .*'stpes' was unexpected"),
        ("spead=1", r"settings: .*'spead' was unexpected"),
        ("device=tpu", r"settings\['device'\]: 'tpu' is not one of \['auto', 'cpu', 'cuda'\]"),
        ("pretrain={steps: many}", r"settings\['pretrain'\]\['steps'\]: 'many' is not of type 'integer'"),
    ],
)
def test_bad_settings_are_refused_by_name(project, tmp_path, override, told):
    done = snakemake(tmp_path, "--snakefile", project / "Snakefile", "--cores", 1, "--dry-run", "--config", override)
    assert done.returncode != 0
    assert re.search(told, output_of(done))
    assert "Failed validating" not in output_of(done)


def test_settings_of_ones_own_replace_the_demo(project, tmp_path, stand_in):
    for name in ("my.fa", "my.vcf", "my.bed"):
        (tmp_path / name).touch()
    settings = "genome: {fasta: my.fa, holdout: [c 1, 2]}\nvariants: {vcf: my.vcf}\nregions: {bed: my.bed}\n"
    (tmp_path / "my.yaml").write_text(settings)
    where = ("--snakefile", project / "Snakefile", "--cores", 1, "--dry-run", "-p", "--configfile", "my.yaml")
    done = snakemake(tmp_path, *where, "--config", "pretrain={steps: 7}")
    assert done.returncode == 0, done.stderr
    text = output_of(done)
    assert "--fasta my.fa --holdout 'c 1' --holdout 2 --config tiny --steps 7 --tokenizer nucleotide --lanes 16" in text
    assert "--truth-field" not in text
    assert "demo" not in re.sub(r"/\S*", "", text)
    (tmp_path / "my.yaml").write_text(settings.replace("regions: {bed: my.bed}\n", ""))
    done = snakemake(tmp_path, *where)
    assert done.returncode != 0
    assert "'regions' is a required property" in output_of(done)


def test_tokenizer_aliases_and_reads_go_to_the_verbs_that_take_them(project, tmp_path, stand_in):
    for name in ("my.fa", "my.vcf", "my.bed", "names.txt", "own.bam", "bpe.json"):
        (tmp_path / name).touch()
    settings = (
        "genome: {fasta: my.fa, holdout: [c], aliases: names.txt}\npretrain: {tokenizer: bpe.json}\n"
        "variants: {vcf: my.vcf}\nregions: {bed: my.bed, reads: own.bam}\n"
    )
    (tmp_path / "my.yaml").write_text(settings)
    where = ("--snakefile", project / "Snakefile", "--cores", 1, "--dry-run", "-p", "--configfile", "my.yaml")
    done = snakemake(tmp_path, *where)
    assert done.returncode == 0, done.stderr
    text = output_of(done)
    assert "--tokenizer bpe.json" in text
    assert text.count("--aliases names.txt") == 4
    assert text.count("--aliases names.txt --reads own.bam") == 2
    (tmp_path / "bpe.json").unlink()
    assert "bpe.json" in output_of(snakemake(tmp_path, *where))  # a tokenizer that is a file is an input
    assert snakemake(tmp_path, *where).returncode != 0
    named = snakemake(tmp_path, *where, "--config", "pretrain={tokenizer: 'kmer:6:overlapping'}")
    assert "--tokenizer kmer:6:overlapping" in output_of(named)


def test_inside_another_workflow(project, tmp_path, stand_in):
    workflow = f"""
module titans_dna:
    snakefile: "{project}/Snakefile"
    config: config["titans_dna"]

use rule * from titans_dna as titans_dna_*
"""
    (tmp_path / "Snakefile").write_text(workflow)
    for name in ("my.fa", "my.vcf", "my.bed"):
        (tmp_path / name).touch()
    settings = {
        "genome": {"fasta": "my.fa", "holdout": ["c"]},
        "variants": {"vcf": "my.vcf"},
        "regions": {"bed": "my.bed"},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"titans_dna": {**settings, "results": "out"}}))
    done = snakemake(tmp_path, "--cores", 2, "--configfile", "config.yaml", path=stand_in)
    assert done.returncode == 0, done.stderr
    verbs = [line.split()[0] for line in (tmp_path / "calls.txt").read_text().splitlines()]
    assert (verbs[0], verbs[-1]) == ("pretrain", "report")
    assert sorted(verbs[1:-1]) == ["embed", "evaluate", "score-regions", "score-variants"]
    assert (tmp_path / "out/report.html").read_text() == "report"
    for rule in RULES:
        assert (tmp_path / f"out/logs/{rule}.log").exists()
        assert (tmp_path / f"out/benchmarks/{rule}.tsv").read_text().startswith("s\th:m:s")
    again = snakemake(tmp_path, "--cores", 2, "--configfile", "config.yaml", path=stand_in)
    assert "Nothing to be done" in output_of(again)


def test_every_setting_has_a_meaning_and_a_default(schema):
    def check(name: str, entry: dict, required: bool) -> None:
        assert entry["description"].endswith("."), name
        if entry.get("type") == "object":
            assert entry["additionalProperties"] is False, name
            for key, inner in entry["properties"].items():
                check(f"{name}.{key}", inner, key in entry.get("required", ()))
        assert required or "default" in entry, name

    check("settings", schema, required=True)


def test_the_demo_settings_fit_the_schema(schema, project):
    jsonschema.Draft202012Validator.check_schema(schema)
    demo = yaml.safe_load((project / "pipelines/config.yaml").read_text())
    jsonschema.Draft202012Validator(schema).validate(demo)
    for path in (demo["genome"]["fasta"], demo["variants"]["vcf"], demo["regions"]["bed"]):
        assert (project / path).is_file()


def test_every_rule_is_complete(project):
    text = "\n".join(path.read_text() for path in sorted((project / "pipelines/rules").glob("*.smk")))
    blocks = dict(re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", text, re.MULTILINE))
    assert sorted(blocks) == sorted(RULES)
    for name, block in blocks.items():
        for directive in ("log", "benchmark", "conda", "threads", "resources", "message", "shell"):
            assert re.search(rf"^    {directive}:", block, re.MULTILINE), (name, directive)
        for resource in ("mem_mb", "runtime"):
            assert re.search(rf"{resource}=lambda wildcards, attempt: \d+ \* attempt", block), (name, resource)
        assert ("gpu=GPUS" in block) == (name != "report")
        assert "run:" not in block
        assert re.search(r'shell:\n +"titans-dna ', block), name


def test_the_rules_environment_agrees_with_the_checkout(project):
    whole = yaml.safe_load((project / "environment.yml").read_text())
    of_rules = yaml.safe_load((project / "pipelines/envs/titans-dna.yaml").read_text())
    assert of_rules["channels"] == whole["channels"]
    specs = {spec for spec in of_rules["dependencies"] if isinstance(spec, str)}
    assert specs <= set(whole["dependencies"])
    run_time = tomllib.loads((project / "pyproject.toml").read_text())["project"]["dependencies"]
    assert len(specs - {"python >=3.11", "pip"}) == len(run_time)


def test_profiles_name_only_rules_that_exist(project):
    for profile in sorted((project / "pipelines/profiles").glob("*/config.yaml")):
        settings = yaml.safe_load(profile.read_text())
        assert set(settings.get("set-resources", {})) <= set(RULES)
