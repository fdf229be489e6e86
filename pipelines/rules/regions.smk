# Scores of the regions of each sample, every region read with the memory of its whole contig before it.


rule score_regions_shard:
    input:
        model=MODEL_FILES,
        fasta=fasta_of,
        index=index_of,
        aliases=ALIASES,
        bed=bed_of,
        reads=reads_of,
        memory=memory_of,
    output:
        temp(f"{RESULTS}/shards/{{sample}}.regions.{{shard}}-of-{{shards}}.tsv"),
    log:
        f"{RESULTS}/logs/score_regions/{{sample}}.{{shard}}-of-{{shards}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/score_regions/{{sample}}.{{shard}}-of-{{shards}}.tsv"
    conda:
        "../envs/titans-dna.yaml"
    threads: WORKERS
    resources:
        mem_mb=lambda wildcards, attempt: 6000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
        gpu=GPUS,
    params:
        model=model_of,
        aliases=each("--aliases", ALIASES),
        memory=lambda wildcards, input: each("--memory", input.memory),
        context=CONTEXT,
        strand=config["score_regions"]["strand"],
        reads=lambda wildcards, input: each("--reads", input.reads),
        device=config["device"],
    message:
        "Scoring the regions of {wildcards.sample}, part {wildcards.shard} of {wildcards.shards}"
    shell:
        "titans-dna score-regions --model {params.model:q} --fasta {input.fasta:q} --bed {input.bed:q}"
        " {params.aliases} {params.reads} {params.memory} --context {params.context} --workers {threads}"
        " --shard {wildcards.shard}/{wildcards.shards} --resume --strand {params.strand}"
        " --device {params.device} --output {output:q} > {log:q} 2>&1"


rule merge_regions:
    input:
        shards_of(
            f"{RESULTS}/shards/{{{{sample}}}}.regions.{{shard}}-of-{{shards}}.tsv",
            "score_regions",
        ),
    output:
        f"{RESULTS}/samples/{{sample}}/regions.scored.tsv",
    log:
        f"{RESULTS}/logs/merge_regions/{{sample}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/merge_regions/{{sample}}.tsv"
    conda:
        "../envs/titans-dna.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    message:
        "Putting the scored regions of {wildcards.sample} together"
    shell:
        "titans-dna merge {input:q} --output {output:q} > {log:q} 2>&1"


rule score_regions:
    input:
        expand(f"{RESULTS}/samples/{{sample}}/regions.scored.tsv", sample=WITH_REGIONS),
