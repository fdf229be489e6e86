# Scores of the variants of each sample: in parts of about equal work, put together, and their statistics.


rule score_variants_shard:
    input:
        model=MODEL_FILES,
        fasta=fasta_of,
        index=index_of,
        aliases=ALIASES,
        vcf=vcf_of,
        memory=memory_of,
    output:
        temp(f"{RESULTS}/shards/{{sample}}.variants.{{shard}}-of-{{shards}}.vcf"),
    log:
        f"{RESULTS}/logs/score_variants/{{sample}}.{{shard}}-of-{{shards}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/score_variants/{{sample}}.{{shard}}-of-{{shards}}.tsv"
    conda:
        "../envs/titans-dna.yaml"
    threads: WORKERS
    resources:
        mem_mb=lambda wildcards, attempt: 6000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
        gpu=GPUS,
    params:
        model=model_of,
        horizon=config["score_variants"]["horizon_bp"],
        mismatch=config["score_variants"]["on_mismatch"],
        aliases=each("--aliases", ALIASES),
        memory=lambda wildcards, input: each("--memory", input.memory),
        context=CONTEXT,
        device=config["device"],
    message:
        "Scoring the variants of {wildcards.sample}, part {wildcards.shard} of {wildcards.shards}"
    shell:
        "titans-dna score-variants --model {params.model:q} --fasta {input.fasta:q} --vcf {input.vcf:q} {params.aliases}"
        " {params.memory} --context {params.context} --workers {threads}"
        " --horizon {params.horizon} --on-mismatch {params.mismatch} --shard {wildcards.shard}/{wildcards.shards} --resume"
        " --device {params.device} --output {output:q} > {log:q} 2>&1"


# The index is no output: it is .tbi, or .csi where a contig is longer than 512 Mb.
rule merge_variants:
    input:
        shards_of(
            f"{RESULTS}/shards/{{{{sample}}}}.variants.{{shard}}-of-{{shards}}.vcf",
            "score_variants",
        ),
    output:
        vcf=f"{RESULTS}/samples/{{sample}}/variants.scored.vcf.gz",
    log:
        f"{RESULTS}/logs/merge_variants/{{sample}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/merge_variants/{{sample}}.tsv"
    conda:
        "../envs/titans-dna.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    message:
        "Putting the scored variants of {wildcards.sample} together"
    shell:
        "titans-dna merge {input:q} --output {output.vcf:q} > {log:q} 2>&1 && (test -e {output.vcf:q}.tbi ||"
        " test -e {output.vcf:q}.csi || (echo 'error: the variants get no index, as said above: sort the input, or"
        " correct its INFO/END.' >> {log:q} && exit 1))"


# What every base around the lowest variants adds to their scores, for the reports.
rule explain:
    input:
        vcf=rules.merge_variants.output.vcf,
        model=MODEL_FILES,
        fasta=fasta_of,
        index=index_of,
        aliases=ALIASES,
        memory=memory_of,
    output:
        f"{RESULTS}/samples/{{sample}}/variants.explained.tsv",
    log:
        f"{RESULTS}/logs/explain/{{sample}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/explain/{{sample}}.tsv"
    conda:
        "../envs/titans-dna.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 6000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
        gpu=GPUS,
    params:
        model=model_of,
        top=config["score_variants"]["explain_top"],
        horizon=config["score_variants"]["horizon_bp"],
        aliases=each("--aliases", ALIASES),
        memory=lambda wildcards, input: each("--memory", input.memory),
        context=CONTEXT,
        device=config["device"],
    message:
        "Explaining variants of {wildcards.sample}"
    shell:
        "titans-dna explain --model {params.model:q} --fasta {input.fasta:q} --vcf {input.vcf:q} --top {params.top}"
        " {params.aliases} {params.memory} --context {params.context} --horizon {params.horizon}"
        " --device {params.device} --output {output:q} > {log:q} 2>&1"


# What the variants do to proteins, by another tool and from another source than the scores: read one beside the other.
rule consequences:
    input:
        vcf=rules.merge_variants.output.vcf,
        fasta=fasta_of,
        gff=GFF,
    output:
        f"{RESULTS}/samples/{{sample}}/variants.consequences.vcf.gz",
    log:
        f"{RESULTS}/logs/consequences/{{sample}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/consequences/{{sample}}.tsv"
    conda:
        "../envs/bcftools.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    message:
        "Consequences of the variants of {wildcards.sample}"
    shell:
        "bcftools csq --fasta-ref {input.fasta:q} --gff-annot {input.gff:q} --phase a --output-type z"
        " --output {output:q} {input.vcf:q} > {log:q} 2>&1"


rule score_variants:
    input:
        expand(
            f"{RESULTS}/samples/{{sample}}/variants.scored.vcf.gz",
            sample=WITH_VARIANTS,
        ),
        expand(f"{RESULTS}/samples/{{sample}}/statistics.json", sample=WITH_VARIANTS),
        expand(
            f"{RESULTS}/samples/{{sample}}/variants.consequences.vcf.gz",
            sample=WITH_CONSEQUENCES,
        ),
