# Settings and sample sheet checked against their schemas, and the few names that the rules share.
import csv
import hashlib
import json
import re
import shlex
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate


def checked(values, schema, where):
    """Complete values by the defaults of a schema; an error says in one line what is wrong and where."""
    try:
        validate(values, workflow.source_path(f"../schemas/{schema}"))
    except WorkflowError as error:
        what = re.search(r"ValidationError: (.*)", str(error))
        key = re.search(r"On instance(\S+):", str(error))
        raise WorkflowError(
            f"{where}{key[1] if key else ''}: {what[1] if what else error}. "
            f"pipelines/schemas/{schema} has every entry and its meaning."
        ) from None


def located(path):
    """A path as given if it exists from here, else the one beside the Snakefile if that exists."""
    beside = Path(workflow.basedir) / path
    return str(beside) if not Path(path).exists() and beside.exists() else path


def files(path):
    """The file as a list, empty where none is named."""
    return [located(path)] if path else []


def each(option, values):
    """The option once before each value that is not empty, quoted for the shell."""
    return " ".join(
        f"{option} {shlex.quote(str(value))}" for value in values if value != ""
    )


def read_samples(path):
    """The rows of the sample sheet by name of sample."""
    sheet = Path(located(path))
    if not sheet.is_file():
        raise WorkflowError(
            f"{path}: no such sample sheet. Write it (columns: sample, fasta, vcf, bed, reads, relatives), or set `samples`."
        )
    with sheet.open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    samples = {}
    for line, row in enumerate(rows, 2):
        if None in row:
            raise WorkflowError(
                f"{path}:{line}: more cells than the header names. Cells are separated by one tab."
            )
        row = {key: value for key, value in row.items() if value}
        if row:
            checked(row, "samples.schema.yaml", f"{path}:{line}")
            if not any(row[column] for column in ("fasta", "vcf", "bed", "reads")):
                raise WorkflowError(
                    f"{path}:{line}: sample {row['sample']!r} has nothing. Give a fasta, vcf, bed or reads."
                )
            if row["sample"] in {*samples, "reference"}:
                raise WorkflowError(
                    f"{path}:{line}: the name {row['sample']!r} is taken. Rename the sample."
                )
            samples[row["sample"]] = row
    if not samples:
        raise WorkflowError(f"{path}: names no sample. Add a line for each.")
    return samples


def reference_fasta(genome):
    """The reference: the file that is named, or where the assembly that is named will be."""
    if bool(genome["fasta"]) == bool(genome["assembly"]):
        raise WorkflowError(
            "settings['genome']: give either `fasta` (a file) or `assembly` (a name)."
        )
    if genome["fasta"]:
        return located(genome["fasta"])
    if genome["assembly"] not in config["assemblies"]:
        raise WorkflowError(
            f"settings['genome']['assembly']: {genome['assembly']!r} is none of `assemblies`: add its url and checksum."
        )
    return f"{RESULTS}/reference/{genome['assembly']}.fa.gz"


def digest(*values):
    """A short name for settings, the same wherever they are the same."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:10]


TYPES = {
    "integer": int,
    "number": float,
    "boolean": {"true": True, "false": False}.__getitem__,
}


def typed(value, kind):
    """A value that arrived as text, as the schema wants it; what is none stays, for the schema to refuse."""
    try:
        return TYPES[kind](value) if isinstance(value, str) and kind in TYPES else value
    except (KeyError, ValueError):
        return value


# Nested values given by --config arrive as text.
with open(workflow.source_path("../schemas/config.schema.yaml")) as stream:
    sections = yaml.safe_load(stream)["properties"]
for section, entries in config.items():
    if isinstance(entries, dict):
        known = sections.get(section, {}).get("properties", {})
        config[section] = {
            key: typed(value, known.get(key, {}).get("type"))
            for key, value in entries.items()
        }
checked(config, "config.schema.yaml", "settings")

RESULTS = config["results"]
GPUS = 1 if config["device"] == "cuda" else 0
FASTA = reference_fasta(config["genome"])
ALIASES = files(config["genome"]["aliases"])
HOLDOUT = config["genome"]["holdout"]
TOKENIZER = located(config["pretrain"]["tokenizer"])
NAMED_TOKENIZER = re.fullmatch(r"nucleotide|kmer:[0-9]+(:overlapping)?", TOKENIZER)

# The model: one that is there, or one that is trained.
TRAINED = not config["model"]
MODEL = (
    f"{RESULTS}/model"
    if TRAINED
    else config["model"] if config["model"] == "default" else located(config["model"])
)
MODEL_FILES = (
    []
    if MODEL == "default"
    else [
        f"{MODEL}/{name}"
        for name in ("config.json", "model.safetensors", "tokenizer.json")
    ]
)
if TRAINED and not HOLDOUT:
    raise WorkflowError(
        "settings['genome']['holdout']: name the contigs to evaluate on, or set `model`."
    )

# What the rules that score have read before, and how much of a contig they read before a place.
RELATIVES = [located(path) for path in config["relatives"]["fasta"]]
CONTEXT, WORKERS = config["context"], config["workers"]
if WORKERS > 1 and CONTEXT == "contig":
    raise WorkflowError(
        "settings['workers']: workers share windows. Set `context` to window:N too, or leave `workers` out."
    )

# Samples, and the sequences that they are read on: the reference, and a sample's own where it has one.
SAMPLES = read_samples(config["samples"])
WITH_VARIANTS = [name for name, row in SAMPLES.items() if row["vcf"]]
WITH_REGIONS = [name for name, row in SAMPLES.items() if row["bed"]]
OWN = [name for name, row in SAMPLES.items() if row["fasta"] or row["reads"]]
GENOMES = ["reference", *OWN]

if TRAINED and not config["pretrain"]["recall"]:
    if RELATIVES or any(row["relatives"] for row in SAMPLES.values()):
        raise WorkflowError(
            "relatives are kept in a copy memory, which this model has not. Set `pretrain.recall` to true, or `model`."
        )


def model_of(wildcards, input):
    """The folder of the model that a job takes as `input.model`, or its name."""
    return str(Path(input.model[0]).parent) if MODEL_FILES else MODEL


def name_of(wildcards):
    """The sample or genome that a job is about."""
    return wildcards.get("sample", wildcards.get("genome"))


def fasta_of(wildcards):
    """The sequence of a sample or genome."""
    own = SAMPLES.get(name_of(wildcards), {}).get("fasta")
    return located(own) if own else FASTA


def index_of(wildcards):
    """The table of contigs of the same: once it is there, many jobs can open the sequence at once."""
    name = name_of(wildcards)
    own = SAMPLES.get(name, {}).get("fasta")
    return f"{RESULTS}/genomes/{name if own else 'reference'}.contigs.tsv"


def reads_of(wildcards):
    """The reads of a sample or genome as a list, empty where it has none."""
    return files(SAMPLES.get(name_of(wildcards), {}).get("reads", ""))


def relatives_of(wildcards):
    """The genomes of relatives that a sample or genome has, its own or those of the settings."""
    own = SAMPLES.get(name_of(wildcards), {}).get("relatives")
    return [located(path.strip()) for path in own.split(",")] if own else RELATIVES


def memory_of(wildcards):
    """The memory file of the same as a list, empty where there are no relatives; samples without own share one."""
    name = name_of(wildcards)
    own = SAMPLES.get(name, {}).get("relatives")
    memory = f"{RESULTS}/genomes/{name if own else 'reference'}.tdm"
    return [memory] if relatives_of(wildcards) else []


def vcf_of(wildcards):
    """The variants of a sample."""
    return located(SAMPLES[wildcards.sample]["vcf"])


def bed_of(wildcards):
    """The regions of a sample."""
    return located(SAMPLES[wildcards.sample]["bed"])


def shards_of(pattern, section):
    """All parts of a job, in order."""
    count = config[section]["shards"]
    return [pattern.format(shard=shard, shards=count) for shard in range(1, count + 1)]


def sample_files(name):
    """What is there of a sample, by option of the verbs that read it."""
    row, folder = SAMPLES[name], f"{RESULTS}/samples/{name}"
    tracks = f"{RESULTS}/genomes/{name if name in OWN else 'reference'}.tracks"
    return {
        "variants": [f"{folder}/variants.scored.vcf.gz"] if row["vcf"] else [],
        "regions": [f"{folder}/regions.scored.tsv"] if row["bed"] else [],
        "embeddings": [f"{folder}/embeddings.h5"] if row["bed"] else [],
        "tracks": [tracks] if config["score_genome"]["wanted"] else [],
    }


SURPRISE = [("--track", "surprise")]
ALL_TRACKS = [*SURPRISE, ("--tracks", "log_likelihood"), ("--tracks", "entropy_bits")]


def sample_options(input, tracks):
    """The same as options, with these of the tracks."""
    options = [
        each(f"--{part}", input.get(part))
        for part in ("variants", "regions", "embeddings")
    ]
    options += [
        each(option, [f"{folder}/tracks.{kind}.bw" for folder in input.tracks])
        for option, kind in tracks
    ]
    if input.variants and config["score_variants"]["truth_field"]:
        options += [
            each("--truth-field", [config["score_variants"]["truth_field"]]),
            "--truth-optional",
            each("--truth-positive", [config["score_variants"]["truth_positive"]]),
        ]
    return " ".join(filter(None, options))


ALONE = (
    list(SAMPLES) if len(SAMPLES) == 1 else []
)  # a sample that needs no page of its own
