# The main job: pretrain -> evaluate -> score variants -> score regions -> embed -> report.
#
#     snakemake --cores 2                                     the demo, into results/demo
#     snakemake --cores 2 --configfile my.yaml                your own genome, variants and regions
#
# Settings and their meaning: pipelines/config.yaml and pipelines/schemas/config.schema.yaml.
from snakemake.utils import min_version

min_version("9.0")


# Settings of your own replace those of the demo altogether; single values of the demo can be set by --config.
if "genome" not in config:

    configfile: workflow.source_path("pipelines/config.yaml")


include: "pipelines/rules/settings.smk"
include: "pipelines/rules/model.smk"
include: "pipelines/rules/scores.smk"
include: "pipelines/rules/embeddings.smk"
include: "pipelines/rules/report.smk"


rule all:
    default_target: True
    input:
        rules.report.output,
