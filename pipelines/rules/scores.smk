# Score every variant, and every region together with its surprise track.


rule score_variants:
    input:
        model=rules.pretrain.output,
        fasta=located(config["genome"]["fasta"]),
        aliases=ALIASES,
        vcf=located(config["variants"]["vcf"]),
    output:
        vcf=f"{RESULTS}/variants.scored.vcf.gz",
        index=f"{RESULTS}/variants.scored.vcf.gz.tbi",
    log:
        f"{RESULTS}/logs/score_variants.log",
    benchmark:
        f"{RESULTS}/benchmarks/score_variants.tsv"
    conda:
        "../envs/titans-dna.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 6000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
        gpu=GPUS,
    params:
        model=model_folder,
        device=config["device"],
        aliases=each("--aliases", ALIASES),
    message:
        "Scoring the variants of {input.vcf}"
    shell:
        "titans-dna score-variants --model {params.model:q} --fasta {input.fasta:q} --vcf {input.vcf:q}"
        " {params.aliases} --device {params.device} --output {output.vcf:q} > {log:q} 2>&1"


rule score_regions:
    input:
        model=rules.pretrain.output,
        fasta=located(config["genome"]["fasta"]),
        aliases=ALIASES,
        bed=located(config["regions"]["bed"]),
        reads=READS,
    output:
        table=f"{RESULTS}/regions.scored.tsv",
        track=f"{RESULTS}/surprise.bw",
    log:
        f"{RESULTS}/logs/score_regions.log",
    benchmark:
        f"{RESULTS}/benchmarks/score_regions.tsv"
    conda:
        "../envs/titans-dna.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 6000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
        gpu=GPUS,
    params:
        model=model_folder,
        device=config["device"],
        aliases=each("--aliases", ALIASES),
        reads=each("--reads", READS),
    message:
        "Scoring the regions of {input.bed}"
    shell:
        "titans-dna score-regions --model {params.model:q} --fasta {input.fasta:q} --bed {input.bed:q}"
        " {params.aliases} {params.reads} --device {params.device} --output {output.table:q} --track {output.track:q} > {log:q} 2>&1"
