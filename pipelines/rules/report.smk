# The figures of each sample, a page for each, and one page about all of it.


rule statistics:
    input:
        unpack(lambda wildcards: sample_files(wildcards.sample)),
        training=f"{RESULTS}/model/training.json" if TRAINED else [],
    output:
        report(
            f"{RESULTS}/samples/{{sample}}/statistics.json",
            caption="../report/statistics.rst",
            category="samples",
            labels={"sample": "{sample}"},
        ),
    log:
        f"{RESULTS}/logs/statistics/{{sample}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/statistics/{{sample}}.tsv"
    conda:
        "../envs/titans-dna.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        files=lambda wildcards, input: sample_options(input, SURPRISE),
        holdout=literally(each("--holdout", HOLDOUT if TRAINED else [])),
    message:
        "Counting the results of {wildcards.sample}"
    shell:
        "titans-dna statistics --sample {wildcards.sample:q} {params.files} {params.holdout} --output {output:q} > {log:q} 2>&1"


rule sample_report:
    input:
        unpack(lambda wildcards: page_files(wildcards.sample)),
    output:
        report(
            f"{RESULTS}/samples/{{sample}}/report.html",
            caption="../report/sample_report.rst",
            category="samples",
            labels={"sample": "{sample}"},
        ),
    log:
        f"{RESULTS}/logs/sample_report/{{sample}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/sample_report/{{sample}}.tsv"
    conda:
        "../envs/titans-dna.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        files=lambda wildcards, input: sample_options(input, ALL_TRACKS),
        link=literally(config["report"]["link"]),
    message:
        "Writing {output}"
    shell:
        "titans-dna report {params.files} --link {params.link:q} --title {wildcards.sample:q} --output {output:q} > {log:q} 2>&1"


rule report:
    input:
        **(page_files(ALONE[0]) if ALONE else {"tracks": []}),
        model=MODEL_FILES,
        evaluation=rules.evaluate.output if HOLDOUT else [],
        classifier=[rules.finetune.output.result] if config["finetune"]["data"] else [],
        statistics=expand(
            f"{RESULTS}/samples/{{sample}}/statistics.json", sample=SAMPLES
        ),
        pages=expand(
            f"{RESULTS}/samples/{{sample}}/report.html",
            sample=[] if ALONE else SAMPLES,
        ),
    output:
        report(
            f"{RESULTS}/report.html",
            caption="../report/report.rst",
            category="titans-dna",
        ),
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.tsv"
    conda:
        "../envs/titans-dna.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        model=model_of,
        files=lambda wildcards, input: (
            sample_options(input, ALL_TRACKS) if ALONE else ""
        ),
        evaluation=lambda wildcards, input: each("--evaluation", input.evaluation),
        classifier=lambda wildcards, input: each("--classifier", input.classifier),
        samples=lambda wildcards, input: each("--sample", input.statistics),
        link=literally(config["report"]["link"]),
        title=literally(config["report"]["title"]),
    message:
        "Writing {output}"
    shell:
        "titans-dna report --model {params.model:q} {params.evaluation} {params.classifier} {params.samples} {params.files}"
        " --link {params.link:q} --title {params.title:q} --output {output:q} > {log:q} 2>&1"
