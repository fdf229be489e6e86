# One vector for each region of each sample, with its coordinates.


rule embed_shard:
    input:
        model=MODEL_FILES,
        fasta=fasta_of,
        index=index_of,
        aliases=ALIASES,
        bed=bed_of,
        reads=reads_of,
        memory=memory_of,
    output:
        temp(f"{RESULTS}/shards/{{sample}}.embeddings.{{shard}}-of-{{shards}}.h5"),
    log:
        f"{RESULTS}/logs/embed/{{sample}}.{{shard}}-of-{{shards}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/embed/{{sample}}.{{shard}}-of-{{shards}}.tsv"
    conda:
        "../envs/titans-dna.yaml"
    threads: WORKERS
    resources:
        mem_mb=lambda wildcards, attempt: 6000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
        gpu=GPUS,
    params:
        model=model_of,
        pooling=config["embed"]["pooling"],
        strand=config["embed"]["strand"],
        context=config["embed"]["context"] or CONTEXT,
        dtype=config["embed"]["dtype"],
        aliases=each("--aliases", ALIASES),
        memory=lambda wildcards, input: each("--memory", input.memory),
        reads=lambda wildcards, input: each("--reads", input.reads),
        device=config["device"],
    message:
        "Embedding the regions of {wildcards.sample}, part {wildcards.shard} of {wildcards.shards}"
    shell:
        "titans-dna embed --model {params.model:q} --fasta {input.fasta:q} --bed {input.bed:q}"
        " {params.aliases} {params.reads} {params.memory} --pool {params.pooling} --strand {params.strand} --context {params.context}"
        " --workers {threads}"
        " --dtype {params.dtype} --shard {wildcards.shard}/{wildcards.shards} --resume"
        " --device {params.device} --output {output:q} > {log:q} 2>&1"


rule merge_embeddings:
    input:
        shards_of(
            f"{RESULTS}/shards/{{{{sample}}}}.embeddings.{{shard}}-of-{{shards}}.h5",
            "embed",
        ),
    output:
        f"{RESULTS}/samples/{{sample}}/embeddings.h5",
    log:
        f"{RESULTS}/logs/merge_embeddings/{{sample}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/merge_embeddings/{{sample}}.tsv"
    conda:
        "../envs/titans-dna.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    message:
        "Putting the embeddings of {wildcards.sample} together"
    shell:
        "titans-dna merge {input:q} --output {output:q} > {log:q} 2>&1"


rule embed:
    input:
        expand(f"{RESULTS}/samples/{{sample}}/embeddings.h5", sample=WITH_REGIONS),
