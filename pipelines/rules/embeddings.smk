# One vector per region, with its coordinates.


rule embed:
    input:
        model=rules.pretrain.output,
        fasta=located(config["genome"]["fasta"]),
        bed=located(config["regions"]["bed"]),
    output:
        f"{RESULTS}/embeddings.h5",
    log:
        f"{RESULTS}/logs/embed.log",
    benchmark:
        f"{RESULTS}/benchmarks/embed.tsv"
    conda:
        "../envs/titans-dna.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 6000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
        gpu=GPUS,
    params:
        model=model_folder,
        device=config["device"],
    message:
        "Embedding the regions of {input.bed}"
    shell:
        "titans-dna embed --model {params.model:q} --fasta {input.fasta:q} --bed {input.bed:q}"
        " --device {params.device} --output {output:q} --resume > {log:q} 2>&1"
