"""The workflow: what it plans and refuses, its style, and that it works from any folder and in another workflow."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pysam
import pytest
import yaml
from small_run import write_relatives_run

pytest.importorskip("snakemake", reason="snakemake is not installed")
jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")

#: Jobs of the demo by rule.
DEMO = {
    "index": 1, "pretrain": 1, "evaluate": 1, "score_variants_shard": 1, "merge_variants": 1, "score_regions_shard": 1,
    "merge_regions": 1, "score_genome_shard": 1, "merge_contigs": 1, "merge_tracks": 1, "embed_shard": 1,
    "merge_embeddings": 1, "statistics": 1, "report": 1,
}  # fmt: skip
RULES = {*DEMO, "consequences", "download_reference", "explain", "finetune", "remember", "sample_report"}
ON_MODEL = {"pretrain", "evaluate", "explain", "finetune", *(rule for rule in RULES if rule.endswith("_shard"))}
TARGETS = {"score_variants", "score_regions", "score_genome", "embed"}


def output_of(done: subprocess.CompletedProcess[str]) -> str:
    """Both streams as one line."""
    return " ".join((done.stdout + done.stderr).split())


def jobs(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """Jobs by rule, as a dry run counts them."""
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.MULTILINE)
    return {rule: int(count) for rule, count in found if rule not in ("all", "total")}


@pytest.fixture(scope="module")
def schema(project) -> dict:
    return yaml.safe_load((project / "pipelines/schemas/config.schema.yaml").read_text())


def test_dry_run_from_another_folder_plans_the_demo(project, tmp_path, snakemake):
    done = snakemake(tmp_path, "--cores", 2, "--dry-run", "--printshellcmds")
    assert jobs(done) == DEMO
    commands = re.findall(r"titans-dna .*", done.stdout + done.stderr)
    assert any(f"--fasta {project}/data/demo.fa --holdout chrC" in command for command in commands)
    assert any(f"--vcf {project}/data/demo.vcf" in command for command in commands)
    assert "No settings are given, so this is the demo" in output_of(done)


def test_settings_without_a_genome_are_not_those_of_the_demo(own, snakemake):
    (own / "my.yaml").write_text("samples: my.tsv\ngenom: {fasta: my.fa, holdout: [c]}\n")
    done = snakemake(own, "--cores", 1, "--dry-run", "--configfile", "my.yaml")
    assert done.returncode != 0
    assert "settings: " in output_of(done)
    assert "'genom' was unexpected). Did you mean 'genome'?" in output_of(done)


def test_a_held_out_contig_that_the_fasta_lacks_is_found_before_any_job(own, snakemake):
    (own / "my.fa").write_text(">chr1\nACGT\n>chr2\nACGT\n")
    where = ("--cores", 1, "--dry-run", "--configfile", "my.yaml", "--config")
    assert jobs(snakemake(own, *where, "genome={holdout: [2]}"))["pretrain"] == 1  # by its other name
    done = snakemake(own, *where, "genome={holdout: [chr2, chrQ]}")
    assert done.returncode != 0
    assert "error: settings['genome']['holdout']: no contig has the name or alias 'chrQ'" in output_of(done)


@pytest.mark.parametrize("shards", [0, 3])
def test_small_genomes_are_not_cut_into_jobs(own, snakemake, shards):
    (own / "my.fa").write_text(">c\nACGT\n")
    override = [f"{name}={{shards: {shards}}}" for name in ("score_variants", "score_regions", "embed")]
    override += ["genome={holdout: [c]}"]
    found = jobs(snakemake(own, "--cores", 1, "--dry-run", "--configfile", "my.yaml", "--config", *override))
    assert found["score_variants_shard"] == found["embed_shard"] == found["score_regions_shard"] == 2 * (shards or 1)


def test_regions_and_embeddings_follow_the_strand_that_is_set(own, snakemake):
    (own / "my.fa").write_text(">c\nACGT\n")
    override = ("genome={holdout: [c]}", "score_regions={strand: region}", "embed={strand: reverse}")
    asked = ("--cores", 1, "-n", "--printshellcmds", "--configfile", "my.yaml", "--config", *override)
    told = output_of(snakemake(own, *asked))
    assert "--strand region" in re.findall(r"titans-dna score-regions .*?--output", told)[0]
    assert "--strand reverse" in re.findall(r"titans-dna embed .*?--output", told)[0]


def test_the_lowest_variants_are_explained_for_the_pages(own, snakemake):
    asked = (
        "--cores",
        1,
        "-n",
        "-p",
        "--configfile",
        "my.yaml",
        "--config",
        "score_variants={explain_top: 5, horizon_bp: 64}",
    )
    done = snakemake(own, *asked)
    assert jobs(done)["explain"] == 2  # of the samples that have variants
    told = output_of(done)
    where = "results/samples/C/variants"
    assert f"--fasta c.fa --vcf {where}.scored.vcf.gz --top 5 --context contig --horizon 64" in told
    assert f"--explained {where}.explained.tsv --link" in told
    assert told.count("--explained") == 2  # pages, and no statistics
    assert "explain" not in jobs(snakemake(own, *asked[:-2]))
    refused = output_of(snakemake(own, *asked, "pretrain={tokenizer: 'kmer:6'}"))
    assert "['explain_top']: a model of words explains no bases. Set it to 0, or `pretrain.tokenizer`" in refused
    (own / "my.tsv").write_text("sample\tvcf\nA\ta.vcf\n")
    assert "--explained results/samples/A/variants.explained.tsv" in output_of(snakemake(own, *asked))


def test_consequences_are_planned_for_samples_on_the_reference_alone(own, snakemake):
    (own / "genes.gff3").write_text("##gff-version 3\n")
    asked = ["--cores", 1, "-n", "--configfile", "my.yaml"]
    assert "consequences" not in jobs(snakemake(own, *asked))
    found = jobs(snakemake(own, *asked, "--config", "consequences={gff: genes.gff3}"))
    assert found["consequences"] == 1
    missing = snakemake(own, *asked, "--config", "consequences={gff: none.gff3}")
    assert missing.returncode != 0
    assert "none.gff3" in output_of(missing)


@pytest.mark.skipif(shutil.which("bcftools") is None, reason="needs bcftools")
def test_consequences_say_what_a_variant_does_to_a_protein(own, snakemake):
    """The job alone, on scored variants that are there: GCT becomes TCT, alanine serine."""
    coding = "ATG" + "GCTGAACTG" * 9 + "TAA"
    (own / "my.yaml").write_text("samples: my.tsv\ngenome: {fasta: my.fa, holdout: [one]}\n")
    (own / "my.fa").write_text(">one\n" + "ACGTA" * 20 + coding + "ACGTA" * 20 + "\n")
    end, columns = 100 + len(coding), "one\tx\t{}\t101\t{}\t.\t+\t{}\t{}\n"
    parts = [
        ("gene", ".", "ID=gene:g1;biotype=protein_coding;Name=G1"),
        ("mRNA", ".", "ID=transcript:t1;Parent=gene:g1;biotype=protein_coding"),
        ("exon", ".", "Parent=transcript:t1"), ("CDS", "0", "ID=CDS:t1;Parent=transcript:t1"),
    ]  # fmt: skip
    lines = [columns.format(kind, end, phase, said) for kind, phase, said in parts]
    (own / "genes.gff3").write_text("##gff-version 3\n" + "".join(lines))
    place = own / "results/samples/A"
    place.mkdir(parents=True)
    text = "##fileformat=VCFv4.2\n##contig=<ID=one>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    with pysam.BGZFile(str(place / "variants.scored.vcf.gz"), "w") as file:
        file.write((text + "one\t104\t.\tG\tT\t.\t.\t.\n").encode())
    done = snakemake(
        own, "results/samples/A/variants.consequences.vcf.gz", "--allowed-rules", "consequences", "--cores", 1,
        "--configfile", "my.yaml", "--config", "consequences={gff: genes.gff3}",
    )  # fmt: skip
    assert done.returncode == 0, output_of(done)
    with pysam.VariantFile(str(place / "variants.consequences.vcf.gz")) as file:
        (record,) = list(file)
    assert record.info["BCSQ"][0].startswith("missense|G1|t1|protein_coding|+|2A>2S")


def test_braces_in_titles_links_and_names_stay(own, snakemake):
    link = "https://x.org/?at={contig}:{start}-{end}"
    settings = f'report: {{title: "a {{b}}", link: "{link}"}}\n'
    (own / "my.yaml").write_text("samples: my.tsv\ngenome: {fasta: my.fa, holdout: ['c{1}']}\n" + settings)
    done = snakemake(own, "--cores", 1, "--dry-run", "-p", "--configfile", "my.yaml")
    text = output_of(done)
    assert done.returncode == 0, text
    assert text.count(f"--link '{link}'") == 4
    assert "--title 'a {b}'" in text
    assert "--holdout 'c{1}' --config tiny" in text
    assert "--contig 'c{1}'" in text


def test_a_sheet_with_commas_is_read_and_a_spreadsheet_is_refused(own, snakemake):
    (own / "my.csv").write_text('sample,vcf,bed\nA,a.vcf,\nB,,"b.bed"\n')
    where = ("--cores", 1, "--dry-run", "--configfile", "my.yaml", "--config")
    found = jobs(snakemake(own, *where, "samples=my.csv"))
    assert (found["score_variants_shard"], found["embed_shard"]) == (2, 2)
    (own / "my.csv").write_text("sample;vcf\nA;a.vcf\n")
    told = output_of(snakemake(own, *where, "samples=my.csv"))
    assert "my.csv:1: has no column `sample`. Cells are separated by commas." in told
    (own / "my.xlsx").write_bytes(b"PK\3\4\xff")
    assert "my.xlsx: is a spreadsheet. Save it as .tsv or .csv." in output_of(snakemake(own, *where, "samples=my.xlsx"))


def test_lint_is_clean(project, tmp_path, snakemake):
    done = snakemake(tmp_path, "--lint")
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
        ("pretrain={stpes: 5}", r"settings\['pretrain'\]: .*'stpes' was unexpected\)\. Did you mean 'steps'\?"),
        ("spead=1", r"settings: .*'spead' was unexpected\)\. Did you mean 'seed'\?"),
        ("device=tpu", r"settings\['device'\]: 'tpu' is not one of \['auto', 'cpu', 'cuda'\]"),
        ("pretrain={steps: many}", r"settings\['pretrain'\]\['steps'\]: 'many' is not of type 'integer'"),
        ("genome={fasta: ''}", r"settings\['genome'\]: give either `fasta` \(a file\) or `assembly`"),
        ("samples=no.tsv", r"no\.tsv: no such sample sheet"),
        ("relatives={fasta: c.fa}", r"settings\['relatives'\]\['fasta'\]: 'c\.fa' is not of type 'array'"),
        ("relatives={one_vote_per: cell}", r"\['one_vote_per'\]: 'cell' is not one of \['file', 'contig', 'prefix'\]"),
        ("relatives={fasta: [c.fa]}", r"kept in a copy memory, which this model has not\. Set `pretrain\.recall`"),
        ("context=window:0", r"settings\['context'\]: 'window:0' does not match '\^\(contig\|window"),
        ("score_variants={explain_top: -1}", r"settings\['score_variants'\]\['explain_top'\]: -1 is less than the"),
        ("workers=2", r"settings\['workers'\]: workers share windows\. Set `context` to window:N too"),
    ],
)
def test_bad_settings_are_refused_by_name(own, snakemake, override, told):
    done = snakemake(own, "--cores", 1, "--dry-run", "--configfile", "my.yaml", "--config", override)
    assert done.returncode != 0
    assert re.search(told, output_of(done))
    assert "Failed validating" not in output_of(done)
    assert len((done.stdout + done.stderr).splitlines()) == 1, "more than one line"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("D\t\ta.vcf\t\t\textra", r"my\.tsv:5: more cells than the header"),
        ("D\t\t\t\t", r"my\.tsv:5: sample 'D' has nothing\. Give a fasta, vcf, bed or reads\."),
        ("A\t\ta.vcf\t\t", r"my\.tsv:5: the name 'A' is taken"),
        ("../D\t\ta.vcf\t\t", r"my\.tsv:5\['sample'\]: '\.\./D' does not match"),
        ("D\t\tnone.vcf\t\t", r"none\.vcf"),
    ],
)
def test_a_bad_line_of_the_sheet_is_refused_by_its_number(own, snakemake, line, told):
    with (own / "my.tsv").open("a") as sheet:
        sheet.write(line + "\n")
    done = snakemake(own, "--cores", 1, "--dry-run", "--configfile", "my.yaml")
    assert done.returncode != 0
    assert re.search(told, output_of(done)), output_of(done)


def test_an_unknown_column_of_the_sheet_is_named(own, snakemake):
    (own / "my.tsv").write_text("sample\tbam\nA\tb.bam\n")
    done = snakemake(own, "--cores", 1, "--dry-run", "--configfile", "my.yaml")
    assert "'bam' was unexpected" in output_of(done)


def test_samples_get_what_the_sheet_gives_them(own, snakemake):
    done = snakemake(own, "--cores", 1, "--dry-run", "-p", "--configfile", "my.yaml", "--config", "pretrain={steps: 7}")
    assert jobs(done) == {
        "index": 2, "pretrain": 1, "evaluate": 1, "score_variants_shard": 4, "merge_variants": 2,
        "score_regions_shard": 4, "merge_regions": 2, "embed_shard": 4, "merge_embeddings": 2, "statistics": 3,
        "sample_report": 3, "report": 1,
    }  # fmt: skip
    text = output_of(done)
    assert "--fasta my.fa --holdout 'c 1' --holdout 2 --config tiny --steps 7 --tokenizer nucleotide --lanes 16" in text
    assert "--fasta c.fa --vcf c.vcf" in text
    assert text.count("--fasta my.fa --bed b.bed --reads b.bam") == 4
    assert (
        text.count("--fasta my.fa --bed a.bed --context contig") + text.count("--fasta my.fa --bed a.bed --pool") == 4
    )
    assert "--truth-field" not in text
    assert "demo" not in re.sub(r"/\S*", "", text)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("pretrain", {"index": 1, "pretrain": 1}),
        ("score_variants", {"score_variants_shard": 4, "merge_variants": 2, "statistics": 2}),
        ("score_genome", {"score_genome_shard": 9, "merge_contigs": 3, "merge_tracks": 3, "index": 2}),
        ("embed", {"embed_shard": 4, "merge_embeddings": 2}),
        ("finetune", {"finetune": 1}),
        ("report", {"report": 1, "sample_report": 3}),
    ],
)
def test_each_workflow_is_a_target(own, snakemake, target, expected):
    (own / "labelled.csv").touch()
    override = ["score_genome={shards: 3}", "finetune={data: labelled.csv}"]
    done = snakemake(own, "--cores", 1, "-n", target, "--configfile", "my.yaml", "--config", *override)
    found = jobs(done)
    assert {rule: found.get(rule) for rule in expected} == expected


def test_relatives_are_remembered_once_and_a_sample_may_have_its_own(own, snakemake):
    for name in ("d.fa", "e.fa"):
        (own / name).touch()
    sheet = (own / "my.tsv").read_text().splitlines()
    sheet = [
        "\t".join([*line.split("\t"), cell])
        for line, cell in zip(sheet, ["relatives", "", "", "d.fa, e.fa"], strict=True)
    ]
    (own / "my.tsv").write_text("\n".join(sheet) + "\n")
    settings = "model: default\nrelatives: {fasta: [d.fa], one_vote_per: prefix}\ncontext: window:4096\nworkers: 2\n"
    (own / "my.yaml").write_text((own / "my.yaml").read_text() + settings)
    done = snakemake(
        own, "--cores", 2, "-n", "-p", "--configfile", "my.yaml", "--config", "score_genome={wanted: true}"
    )
    assert jobs(done)["remember"] == 2
    text = output_of(done)
    shared, of_c = "results/genomes/reference.tdm", "results/genomes/C.tdm"
    assert f"--model default --fasta d.fa --one-vote-per prefix --output {shared}" in text
    assert f"--fasta d.fa --fasta e.fa --one-vote-per prefix --output {of_c}" in text
    how = "--context window:4096 --workers 2"
    assert text.count(f"--vcf a.vcf --memory {shared} {how}") == 2
    assert text.count(f"--vcf c.vcf --memory {of_c} {how}") == 2
    assert text.count(f"--reads b.bam --memory {shared} {how} --shard") == 2
    assert text.count(f"--reads b.bam --memory {shared} {how} --tracks") == 2
    assert text.count(f"--reads b.bam --memory {shared} --pool") == 2


@pytest.mark.slow
def test_scores_know_the_relatives_of_the_workflow(project, tmp_path, snakemake):
    from titans_dna.io import open_embeddings, open_scores

    write_relatives_run(tmp_path, project / "data/demo.fa")
    targets = ("score_variants", "score_regions", "embed")
    done = snakemake(tmp_path, "--cores", 2, *targets, "--configfile", "my.yaml", path=Path(sys.executable).parent)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "out/genomes").glob("*.tdm")] == ["reference.tdm"]
    (variant,) = open_scores(tmp_path / "out/samples/one/variants.scored.vcf.gz").rows()
    assert (variant["relatives_ref"], variant["relatives_alt"]) == (0, 1)
    (region,) = open_scores(tmp_path / "out/samples/one/regions.scored.tsv").rows()
    assert region["bits_per_base"] < 1 < region["bits_without_relatives"]
    with open_embeddings(tmp_path / "out/samples/one/embeddings.h5") as vectors:
        assert "relative.fa" in vectors.attributes["relatives"]
        assert vectors.attributes["context"] == "window:2048"


def test_a_model_that_is_there_is_not_trained(own, snakemake):
    where = ("--cores", 1, "-n", "-p", "--configfile", "my.yaml", "--config")
    named = snakemake(own, *where, "model=default")
    assert "pretrain" not in jobs(named)
    assert "--model default" in output_of(named)
    (own / "ready").mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (own / "ready" / name).touch()
    folder = snakemake(own, *where, "model=ready")
    assert "pretrain" not in jobs(folder)
    assert "--model ready" in output_of(folder)


def test_tokenizer_and_aliases_go_to_the_verbs_that_take_them(own, snakemake):
    (own / "names.txt").touch()
    (own / "bpe.json").touch()
    settings = "samples: my.tsv\ngenome: {fasta: my.fa, holdout: [c], aliases: names.txt}\n"
    (own / "my.yaml").write_text(settings + "pretrain: {tokenizer: bpe.json}\n")
    where = ("--cores", 1, "--dry-run", "-p", "--configfile", "my.yaml")
    text = output_of(snakemake(own, *where))
    assert "--tokenizer bpe.json" in text
    assert text.count("--aliases names.txt") == 2 + 4 + 4 + 4
    (own / "labelled.bed").touch()
    tuned = output_of(snakemake(own, "finetune", *where, "--config", "finetune={data: labelled.bed}"))
    assert re.search(r"titans-dna finetune .* --aliases names\.txt", tuned)
    runs = re.compile(r"runs/pretrain-\w+")
    (own / "my.yaml").write_text(settings.replace(", aliases: names.txt", "") + "pretrain: {tokenizer: bpe.json}\n")
    assert runs.search(output_of(snakemake(own, *where)))[0] != runs.search(text)[0]  # other names, another run
    (own / "my.yaml").write_text(settings + "pretrain: {tokenizer: bpe.json}\n")
    (own / "bpe.json").unlink()
    assert "bpe.json" in output_of(snakemake(own, *where))  # a tokenizer that is a file is an input
    assert snakemake(own, *where).returncode != 0
    named = snakemake(own, *where, "--config", "pretrain={tokenizer: 'kmer:6:overlapping'}")
    assert "--tokenizer kmer:6:overlapping" in output_of(named)


def test_text_stays_text_and_numbers_may_come_as_text(own, snakemake):
    settings = (own / "my.yaml").read_text() + 'score_variants: {truth_field: CLASS, truth_positive: "007"}\n'
    (own / "my.yaml").write_text(settings)
    override = ["pretrain={learning_rate: 0.25, lanes: 3}", "score_genome={wanted: true}"]
    done = snakemake(own, "--cores", 1, "-n", "-p", "--configfile", "my.yaml", "--config", *override)
    assert jobs(done)["score_genome_shard"] == 6
    text = output_of(done)
    assert "--truth-positive 007" in text
    assert "--lanes 3" in text
    assert "--learning-rate 0.25" in text


@pytest.mark.parametrize("suffix", [".tbi", ".csi", ""])
def test_scored_variants_have_an_index_of_either_kind(own, snakemake, stand_in, suffix):
    """A contig longer than 512 Mb makes it .csi; without any, the variants are not sorted."""
    script = stand_in / "titans-dna"
    made = f'output.with_name(output.name + "{suffix}")' if suffix else ""
    script.write_text(script.read_text().replace('output.with_name(output.name + ".tbi")', made))
    done = snakemake(own, "--cores", 1, "score_variants", "--configfile", "my.yaml", "--config", "model=default",
                     path=stand_in)  # fmt: skip
    scored = own / "results/samples/A/variants.scored.vcf.gz"
    assert (done.returncode == 0, scored.exists()) == (bool(suffix), bool(suffix)), done.stderr
    if not suffix:
        logs = (own / "results/logs/merge_variants").iterdir()  # of the sample that came first
        assert any("sort the input" in log.read_text() for log in logs)


def test_inside_another_workflow(project, own, snakemake, stand_in):
    workflow = f"""
module titans_dna:
    snakefile: "{project}/Snakefile"
    config: config["titans_dna"]

use rule * from titans_dna as titans_dna_*

rule count:
    input: "out/samples/A/variants.scored.vcf.gz"
    output: "counted.txt"
    shell: "wc -c {{input}} > {{output}}"

rule everything:
    default_target: True
    input: "counted.txt", "out/report.html"
"""
    (own / "Snakefile").write_text(workflow)
    settings = yaml.safe_load((own / "my.yaml").read_text())
    (own / "config.yaml").write_text(yaml.safe_dump({"titans_dna": {**settings, "results": "out"}}))
    done = snakemake(own, "--cores", 2, "--configfile", "config.yaml", path=stand_in)
    assert done.returncode == 0, done.stderr
    verbs = [line.split()[0] for line in (own / "calls.txt").read_text().splitlines()]
    assert verbs.index("pretrain") < min(verbs.index(verb) for verb in ("embed", "evaluate", "score-variants"))
    assert verbs[-1] == "report"
    assert (own / "out/report.html").read_text() == "report"
    assert (own / "counted.txt").exists()
    assert not list((own / "out/shards").glob("*"))  # parts go once they are put together
    for rule in ("pretrain", "report", "embed/A.1-of-2", "merge_variants/C", "sample_report/B"):
        assert (own / f"out/logs/{rule}.log").exists()
        assert (own / f"out/benchmarks/{rule}.tsv").read_text().startswith("s\th:m:s")
    again = snakemake(own, "--cores", 2, "--configfile", "config.yaml", path=stand_in)
    assert "Nothing to be done" in output_of(again)


def test_every_setting_has_a_meaning_and_a_default(schema, project):
    def check(name: str, entry: dict, required: bool) -> None:
        assert entry["description"].rstrip().endswith("."), name
        if entry.get("type") == "object":
            assert "additionalProperties" in entry, name
            for key, inner in entry.get("properties", {}).items():
                check(f"{name}.{key}", inner, key in entry.get("required", ()))
        assert required or "default" in entry, name

    check("settings", schema, required=True)
    sheet = yaml.safe_load((project / "pipelines/schemas/samples.schema.yaml").read_text())
    jsonschema.Draft202012Validator.check_schema(sheet)
    check("sample", sheet, required=True)


def test_the_demo_settings_fit_the_schema(schema, project):
    jsonschema.Draft202012Validator.check_schema(schema)
    demo = yaml.safe_load((project / "pipelines/config.yaml").read_text())
    jsonschema.Draft202012Validator(schema).validate(demo)
    assert (project / demo["samples"]).is_file()
    assert (project / demo["genome"]["fasta"]).is_file()


def rule_blocks(project: Path) -> dict[str, str]:
    text = "\n".join(path.read_text() for path in sorted((project / "pipelines/rules").glob("*.smk")))
    return dict(re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", text, re.MULTILINE))


def test_every_rule_is_complete(project):
    blocks = rule_blocks(project)
    assert blocks.keys() == RULES | TARGETS
    for name in RULES:
        block = blocks[name]
        for directive in ("log", "benchmark", "conda", "threads", "resources", "message", "(shell|script)"):
            assert re.search(rf"^    {directive}:", block, re.MULTILINE), (name, directive)
        for resource in ("mem_mb", "runtime"):
            assert re.search(rf"{resource}=lambda wildcards, attempt: \d+ \* attempt", block), (name, resource)
        assert ("gpu=GPUS" in block) == (name in ON_MODEL), name
        assert not re.search(r"^    run:", block, re.MULTILINE)
        if name.endswith("_shard"):
            assert "--shard {wildcards.shard}/{wildcards.shards} --resume" in block
    for name in TARGETS:
        assert re.fullmatch(r"\s*input:\s+(expand\([^)]*\),\s*)+", blocks[name]), name


def test_only_the_download_needs_a_network_and_it_is_no_job(project):
    text = (project / "pipelines/rules/model.smk").read_text()
    assert re.search(r"^localrules:\n    download_reference,$", text, re.MULTILINE)
    assert [name for name, block in rule_blocks(project).items() if re.search(r"\burl\b|curl|wget", block)] == [
        "download_reference"
    ]


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
        assert set(settings.get("set-resources", {})) <= RULES


@pytest.mark.parametrize(("gpus", "partition"), [(0, "cpu"), (1, "gpu")])
def test_jobs_with_a_gpu_and_no_others_go_to_the_partition_with_gpus(project, gpus, partition):
    plugin = pytest.importorskip("snakemake_executor_plugin_slurm.partitions", reason="the slurm executor is missing")
    partitions = plugin.read_partition_file(project / "pipelines/profiles/slurm/partitions.yaml")
    resources = {"mem_mb": 6000, "runtime": 120, "gpu": gpus}
    job = SimpleNamespace(name="job", threads=1, resources=resources)
    assert plugin.get_best_partition(partitions, job, logging.getLogger()) == partition


@pytest.mark.parametrize("start", ["[x, x, x, x, x, x, x, x, x]", "[*a0]"], ids=["lists within lists", "itself"])
def test_aliases_that_repeat_lists_without_end_are_one_line(snakemake, tmp_path, start):
    lines = [f"a0: &a0 {start}"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    (tmp_path / "bomb.yaml").write_text("\n".join([*lines, "genome: {fasta: *a9}"]))
    done = snakemake(tmp_path, "-n", "--cores", "1", "--configfile", tmp_path / "bomb.yaml", timeout=60)
    assert done.returncode != 0
    said = [line for line in (done.stdout + done.stderr).splitlines() if "error" in line.lower()]
    assert said == [
        "error: settings: more than 100,000 values. Does an alias (`*name`) repeat a list within lists? "
        "Write the values out."
    ]
