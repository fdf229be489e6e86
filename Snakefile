# The workflow: pretrain, finetune, score variants, regions and genomes, embed, report.
#
#     snakemake --cores 2                                     the demo, into results/demo
#     snakemake --cores 2 --configfile my.yaml                your own genome and samples
#     snakemake --cores 2 embed --configfile my.yaml          a part: pretrain, evaluate, finetune, score_variants,
#                                                             score_regions, score_genome, embed, report
#
# Settings and their meaning: pipelines/config.yaml and pipelines/schemas/config.schema.yaml.
from pathlib import Path

from snakemake.logging import logger
from snakemake.utils import min_version

min_version("9.0")


# Settings of your own replace those of the demo altogether; single values of the demo can be set by --config.
if "genome" not in config and not workflow.configfiles:
    if Path.cwd() != Path(workflow.basedir) and workflow.is_main_process:
        logger.warning(
            "No settings are given, so this is the demo of titans-dna. Give your own by --configfile."
        )

    configfile: workflow.source_path("pipelines/config.yaml")


include: "pipelines/rules/settings.smk"


wildcard_constraints:
    sample="|".join(map(re.escape, SAMPLES)),
    genome="|".join(map(re.escape, ["reference", *SAMPLES])),
    shard=r"[0-9]+",
    shards=r"[0-9]+",


include: "pipelines/rules/model.smk"
include: "pipelines/rules/variants.smk"
include: "pipelines/rules/regions.smk"
include: "pipelines/rules/embeddings.smk"
include: "pipelines/rules/tracks.smk"
include: "pipelines/rules/report.smk"


rule all:
    default_target: True
    input:
        rules.report.output,
        expand(
            f"{RESULTS}/samples/{{sample}}/variants.consequences.vcf.gz",
            sample=WITH_CONSEQUENCES,
        ),
        rules.score_genome.input if config["score_genome"]["wanted"] else [],
