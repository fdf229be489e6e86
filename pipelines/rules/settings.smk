# Settings checked against their schema, and the few names that the rules share.
import re
import shlex
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

# Nested numbers given by --config arrive as text.
if isinstance(config.get("pretrain"), dict):
    config["pretrain"] = {
        key: int(value) if str(value).isdecimal() else value
        for key, value in config["pretrain"].items()
    }

try:
    validate(config, workflow.source_path("../schemas/config.schema.yaml"))
except WorkflowError as error:
    what = re.search(r"ValidationError: (.*)", str(error))
    where = re.search(r"On instance(\S+):", str(error))
    raise WorkflowError(
        f"settings{where[1] if where else ''}: {what[1] if what else error}. "
        "pipelines/schemas/config.schema.yaml has every setting and its meaning."
    ) from None

RESULTS = config["results"]
MODEL = f"{RESULTS}/model"
GPUS = 1 if config["device"] == "cuda" else 0


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


def model_folder(wildcards, input):
    """The folder of the model that a rule takes as `input.model`."""
    return str(Path(input.model[0]).parent)


ALIASES = files(config["genome"]["aliases"])
READS = files(config["regions"]["reads"])
TOKENIZER = located(config["pretrain"]["tokenizer"])
NAMED_TOKENIZER = re.fullmatch(r"nucleotide|kmer:[0-9]+(:overlapping)?", TOKENIZER)
