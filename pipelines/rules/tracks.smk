# Whole genomes: the score of every contig, and tracks at every base (log-likelihood, entropy, surprise and forgetting).


rule score_genome_shard:
    input:
        model=MODEL_FILES,
        fasta=fasta_of,
        index=index_of,
        aliases=ALIASES,
        reads=reads_of,
        memory=memory_of,
    output:
        table=temp(f"{RESULTS}/shards/{{genome}}.contigs.{{shard}}-of-{{shards}}.tsv"),
        tracks=temp(
            directory(f"{RESULTS}/shards/{{genome}}.tracks.{{shard}}-of-{{shards}}")
        ),
    log:
        f"{RESULTS}/logs/score_genome/{{genome}}.{{shard}}-of-{{shards}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/score_genome/{{genome}}.{{shard}}-of-{{shards}}.tsv"
    conda:
        "../envs/titans-dna.yaml"
    threads: WORKERS
    resources:
        mem_mb=lambda wildcards, attempt: 6000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
        gpu=GPUS,
    params:
        model=model_of,
        aliases=each("--aliases", ALIASES),
        memory=lambda wildcards, input: each("--memory", input.memory),
        context=CONTEXT,
        reads=lambda wildcards, input: each("--reads", input.reads),
        device=config["device"],
    message:
        "Scoring every base of {wildcards.genome}, part {wildcards.shard} of {wildcards.shards}"
    shell:
        "mkdir -p {output.tracks:q} && "
        "titans-dna score-regions --model {params.model:q} --fasta {input.fasta:q} {params.aliases} {params.reads}"
        " {params.memory} --context {params.context} --workers {threads}"
        " --tracks {output.tracks:q}/tracks.bw --shard {wildcards.shard}/{wildcards.shards} --resume"
        " --device {params.device} --output {output.table:q} > {log:q} 2>&1"


rule merge_contigs:
    input:
        shards_of(
            f"{RESULTS}/shards/{{{{genome}}}}.contigs.{{shard}}-of-{{shards}}.tsv",
            "score_genome",
        ),
    output:
        f"{RESULTS}/genomes/{{genome}}.scored.tsv",
    log:
        f"{RESULTS}/logs/merge_contigs/{{genome}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/merge_contigs/{{genome}}.tsv"
    conda:
        "../envs/titans-dna.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    message:
        "Putting the scores of {wildcards.genome} together"
    shell:
        "titans-dna merge {input:q} --output {output:q} > {log:q} 2>&1"


rule merge_tracks:
    input:
        shards_of(
            f"{RESULTS}/shards/{{{{genome}}}}.tracks.{{shard}}-of-{{shards}}",
            "score_genome",
        ),
    output:
        directory(f"{RESULTS}/genomes/{{genome}}.tracks"),
    log:
        f"{RESULTS}/logs/merge_tracks/{{genome}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/merge_tracks/{{genome}}.tsv"
    conda:
        "../envs/titans-dna.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        first=lambda wildcards, input: input[0],
    message:
        "Putting the tracks of {wildcards.genome} together"
    shell:
        "(mkdir -p {output:q} && for track in {params.first:q}/*.bw; do"
        ' name=$(basename "$track"); set --; for part in {input:q}; do set -- "$@" "$part/$name"; done;'
        ' titans-dna merge "$@" --output {output:q}/"$name" || exit 1;'
        " done) > {log:q} 2>&1"


rule score_genome:
    input:
        expand(f"{RESULTS}/genomes/{{genome}}.tracks", genome=GENOMES),
        expand(f"{RESULTS}/genomes/{{genome}}.scored.tsv", genome=GENOMES),
