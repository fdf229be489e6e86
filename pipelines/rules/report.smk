# One self-contained page about all of it.


rule report:
    input:
        model=rules.pretrain.output,
        evaluation=rules.evaluate.output,
        variants=rules.score_variants.output.vcf,
        regions=rules.score_regions.output.table,
        track=rules.score_regions.output.track,
        embeddings=rules.embed.output,
    output:
        f"{RESULTS}/report.html",
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.tsv"
    conda:
        "../envs/titans-dna.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        model=model_folder,
        truth_field=each("--truth-field", [config["variants"]["truth_field"]]),
        truth_positive=config["variants"]["truth_positive"],
        title=config["report"]["title"],
    message:
        "Writing {output}"
    shell:
        "titans-dna report --model {params.model:q} --evaluation {input.evaluation:q} --variants {input.variants:q}"
        " {params.truth_field} --truth-positive {params.truth_positive:q} --regions {input.regions:q}"
        " --track {input.track:q} --embeddings {input.embeddings:q} --title {params.title:q} --output {output:q} > {log:q} 2>&1"
