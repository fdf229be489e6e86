# Settings and sample sheet checked against their schemas, and the few names that the rules share.
import csv
import hashlib
import json
import re
import shlex
import sys
from difflib import get_close_matches
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.utils import validate


def refuse(what):
    """End with one line: of an exception Snakemake would print the lines of these files too."""
    logger.error(f"error: {what}")
    sys.exit(1)


MOST_VALUES = 100_000  # of all settings together


def check_size(values):
    """Refuse settings in which aliases (`*name`) repeat lists within lists, or a list within itself.

    A file of a few lines can so have more values than any memory holds, and who looks at all of them never ends.
    """
    waiting, seen = [values], 0
    while waiting:
        seen += 1
        if seen > MOST_VALUES:
            refuse(
                f"settings: more than {MOST_VALUES:,} values. Does an alias (`*name`) repeat a list within lists? "
                "Write the values out."
            )
        value = waiting.pop()
        if isinstance(value, (dict, list)):
            waiting.extend(value.values() if isinstance(value, dict) else value)


def checked(values, schema, where):
    """Complete values by the defaults of a schema; an error says in one line what is wrong and where."""
    path = workflow.source_path(f"../schemas/{schema}")
    try:
        validate(values, path)
    except WorkflowError as error:
        what = re.search(r"ValidationError: (.*)", str(error))
        key = re.search(r"On instance(\S+):", str(error))
        near = near_names(path, re.findall(r"\['(.*?)'\]", key[1] if key else ""), what)
        refuse(
            f"{where}{key[1] if key else ''}: {what[1] if what else error}. {near}"
            f"pipelines/schemas/{schema} has every entry and its meaning."
        )


def near_names(schema, section, what):
    """The names that a section of a schema knows and that are near to one that it does not know, as a question."""
    with open(schema) as stream:
        known = yaml.safe_load(stream)
    for name in section:
        known = known.get("properties", {}).get(name, {})
    unknown = (
        re.findall(r"'([^']+)'", what[1]) if what and "unexpected" in what[1] else []
    )
    near = [
        get_close_matches(name, known.get("properties", {}), 1, 0.5) for name in unknown
    ]
    found = " and ".join(repr(name) for names in near for name in names)
    return f"Did you mean {found}? " if found else ""


def literally(value):
    """A value for `params` as it is, also where it has braces, which Snakemake would take for wildcards."""
    return lambda wildcards: value


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
        refuse(
            f"{path}: no such sample sheet. Write it (columns: sample, fasta, vcf, bed, reads, relatives), or set `samples`."
        )
    if sheet.suffix.lower() in (".xlsx", ".xls", ".ods"):
        refuse(f"{path}: is a spreadsheet. Save it as .tsv or .csv.")
    separator = "," if sheet.suffix.lower() == ".csv" else "\t"
    with sheet.open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream, delimiter=separator))
    if rows and "sample" not in rows[0]:
        refuse(
            f"{path}:1: has no column `sample`. Cells are separated by {'commas' if separator == ',' else 'tabs'}."
        )
    samples = {}
    for line, row in enumerate(rows, 2):
        if None in row:
            refuse(
                f"{path}:{line}: more cells than the header names. Cells are separated by one {'comma' if separator == ',' else 'tab'}."
            )
        row = {key: value for key, value in row.items() if value}
        if row:
            checked(row, "samples.schema.yaml", f"{path}:{line}")
            if not any(row[column] for column in ("fasta", "vcf", "bed", "reads")):
                refuse(
                    f"{path}:{line}: sample {row['sample']!r} has nothing. Give a fasta, vcf, bed or reads."
                )
            if row["sample"] in {*samples, "reference"}:
                refuse(
                    f"{path}:{line}: the name {row['sample']!r} is taken. Rename the sample."
                )
            samples[row["sample"]] = row
    if not samples:
        refuse(f"{path}: names no sample. Add a line for each.")
    return samples


def reference_fasta(genome):
    """The reference: the file that is named, or where the assembly that is named will be."""
    if bool(genome["fasta"]) == bool(genome["assembly"]):
        refuse(
            "settings['genome']: give either `fasta` (a file) or `assembly` (a name)."
        )
    if genome["fasta"]:
        return located(genome["fasta"])
    if genome["assembly"] not in config["assemblies"]:
        refuse(
            f"settings['genome']['assembly']: {genome['assembly']!r} is none of `assemblies`: add its url and checksum."
        )
    return f"{RESULTS}/reference/{genome['assembly']}.fa.gz"


def check_contigs(names, fasta, aliases):
    """Refuse contigs that the reference lacks, before any job is planned on them."""
    try:
        from titans_dna.errors import ContigUnknown, TitansDNAError
        from titans_dna.io.sequence.aliases import read_aliases
        from titans_dna.io.sequence.fasta import open_fasta
    except ImportError:  # the package is in the environment of the jobs alone
        return
    try:
        with open_fasta(
            fasta, aliases=[group for path in aliases for group in read_aliases(path)]
        ) as genome:
            for name in names:
                genome.contigs.require(str(name))
    except ContigUnknown as error:
        refuse(f"settings['genome']['holdout']: {error}")
    except (
        TitansDNAError
    ):  # a file that cannot be used is for the log of the first job that reads it
        return


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


check_size(config)
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
if HOLDOUT and workflow.is_main_process and Path(FASTA).is_file():
    check_contigs(HOLDOUT, FASTA, ALIASES)
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
    refuse(
        "settings['genome']['holdout']: name the contigs to evaluate on, or set `model`."
    )

if config["score_variants"]["explain_top"] and TRAINED and TOKENIZER != "nucleotide":
    refuse(
        "settings['score_variants']['explain_top']: a model of words explains no bases. Set it to 0, or"
        " `pretrain.tokenizer` to nucleotide."
    )

# What the rules that score have read before, and how much of a contig they read before a place.
RELATIVES = [located(path) for path in config["relatives"]["fasta"]]
CONTEXT, WORKERS = config["context"], config["workers"]
if WORKERS > 1 and CONTEXT == "contig":
    refuse(
        "settings['workers']: workers share windows. Set `context` to window:N too, or leave `workers` out."
    )

# Samples, and the sequences that they are read on: the reference, and a sample's own where it has one.
SAMPLES = read_samples(config["samples"])
WITH_VARIANTS = [name for name, row in SAMPLES.items() if row["vcf"]]
WITH_REGIONS = [name for name, row in SAMPLES.items() if row["bed"]]
GFF = files(config["consequences"]["gff"])
# The annotation is that of the reference, so samples on a genome of their own have none.
WITH_CONSEQUENCES = [
    name for name in WITH_VARIANTS if GFF and not SAMPLES[name]["fasta"]
]
OWN = [name for name, row in SAMPLES.items() if row["fasta"] or row["reads"]]
GENOMES = ["reference", *OWN]

if TRAINED and not config["pretrain"]["recall"]:
    if RELATIVES or any(row["relatives"] for row in SAMPLES.values()):
        refuse(
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


# Below this size, to start PyTorch for a second job takes longer than that job saves.
SMALL_BYTES = 5_000_000
SIZES = [
    Path(path).stat().st_size
    for path in (FASTA, *(located(row["fasta"]) for row in SAMPLES.values()))
    if path and Path(path).is_file()
]
FEW_OR_ONE = (
    1 if config["genome"]["fasta"] and max(SIZES, default=0) < SMALL_BYTES else 2
)


def shards_of(pattern, section):
    """All parts of a job, in order."""
    count = config[section]["shards"] or FEW_OR_ONE
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


def page_files(name):
    """The same, and the variants that its page explains."""
    wanted = SAMPLES[name]["vcf"] and config["score_variants"]["explain_top"]
    explained = f"{RESULTS}/samples/{name}/variants.explained.tsv"
    return sample_files(name) | {"explained": [explained] if wanted else []}


SURPRISE = [("--track", "surprise")]
ALL_TRACKS = [*SURPRISE, ("--tracks", "log_likelihood"), ("--tracks", "entropy_bits")]


def sample_options(input, tracks):
    """The same as options, with these of the tracks."""
    options = [
        each(f"--{part}", input.get(part, []))
        for part in ("variants", "regions", "embeddings", "explained")
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
