# The reference, a model trained on all its contigs but the held-out ones, and its evaluation on those.


# The only rule that needs a network; it runs where snakemake runs, in no job of a cluster.
localrules:
    download_reference,


rule download_reference:
    output:
        f"{RESULTS}/reference/{{assembly}}.fa.gz",
    log:
        f"{RESULTS}/logs/download_reference/{{assembly}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/download_reference/{{assembly}}.tsv"
    conda:
        "../envs/titans-dna.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 500 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        url=lambda wildcards: config["assemblies"][wildcards.assembly]["url"],
        checksum=lambda wildcards: config["assemblies"][wildcards.assembly]["checksum"],
    message:
        "Downloading {params.url}"
    script:
        "../scripts/download.py"


rule index:
    input:
        fasta=fasta_of,
    output:
        f"{RESULTS}/genomes/{{genome}}.contigs.tsv",
    log:
        f"{RESULTS}/logs/index/{{genome}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/index/{{genome}}.tsv"
    conda:
        "../envs/titans-dna.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    message:
        "Indexing {input.fasta}"
    shell:
        "titans-dna info {input.fasta:q} > {output:q} 2> {log:q}"


# Training happens in a folder named by its settings, which snakemake does not know: a job that was killed leaves its
# checkpoints there and the next one goes on from them; other settings begin anew.
rule pretrain:
    input:
        fasta=FASTA,
        index=f"{RESULTS}/genomes/reference.contigs.tsv",
        tokenizer=[] if NAMED_TOKENIZER else [TOKENIZER],
        aliases=ALIASES,
    output:
        config=f"{RESULTS}/model/config.json",
        weights=f"{RESULTS}/model/model.safetensors",
        tokenizer=f"{RESULTS}/model/tokenizer.json",
        training=f"{RESULTS}/model/training.json",
        log=f"{RESULTS}/model/log.csv",
        splits=f"{RESULTS}/model/splits.bed",
    log:
        f"{RESULTS}/logs/pretrain.log",
    benchmark:
        f"{RESULTS}/benchmarks/pretrain.tsv"
    conda:
        "../envs/titans-dna.yaml"
    threads: config["pretrain"]["threads"]
    resources:
        mem_mb=lambda wildcards, attempt: 6000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
        gpu=GPUS,
    params:
        model=subpath(output.weights, parent=True),
        run=f"{RESULTS}/runs/pretrain-{digest(FASTA, HOLDOUT, ALIASES, config['pretrain'], config['seed'])}",
        holdout=literally(each("--holdout", HOLDOUT)),
        aliases=each("--aliases", ALIASES),
        config=config["pretrain"]["config"],
        tokenizer=TOKENIZER,
        recall="--recall" if config["pretrain"]["recall"] else "",
        steps=config["pretrain"]["steps"],
        lanes=config["pretrain"]["lanes"],
        window=config["pretrain"]["window_tokens"],
        rate=config["pretrain"]["learning_rate"],
        soft_mask=config["pretrain"]["soft_mask_weight"],
        evaluate_every=config["pretrain"]["evaluate_every"],
        save_every=config["pretrain"]["save_every"],
        seed=config["seed"],
        device=config["device"],
    message:
        "Training a {params.config} model for {params.steps} steps on {input.fasta}"
    shell:
        "if ls {params.run:q}/checkpoints/step-*/run.json > {log:q} 2>&1;"
        " then titans-dna pretrain --resume {params.run:q} >> {log:q} 2>&1;"
        " else titans-dna pretrain --fasta {input.fasta:q} {params.holdout} {params.aliases} --config {params.config:q} --steps {params.steps}"
        " --tokenizer {params.tokenizer:q} --lanes {params.lanes} --window-tokens {params.window} --learning-rate {params.rate}"
        " --soft-mask-weight {params.soft_mask} --evaluate-every {params.evaluate_every} --save-every {params.save_every}"
        " --seed {params.seed} --device {params.device} {params.recall} --overwrite --output {params.run:q} > {log:q} 2>&1;"
        " fi && cp -R {params.run:q}/. {params.model:q} && rm -rf {params.run:q}"


# One memory file for all samples that have the same relatives: of the settings, or a sample's own.
rule remember:
    input:
        model=MODEL_FILES,
        fasta=relatives_of,
    output:
        f"{RESULTS}/genomes/{{genome}}.tdm",
    log:
        f"{RESULTS}/logs/remember/{{genome}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/remember/{{genome}}.tsv"
    conda:
        "../envs/titans-dna.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        model=model_of,
        relatives=lambda wildcards, input: each("--fasta", input.fasta),
        one_vote_per=config["relatives"]["one_vote_per"],
    message:
        "Reading the relatives of {wildcards.genome}"
    shell:
        "titans-dna remember --model {params.model:q} {params.relatives} --one-vote-per {params.one_vote_per}"
        " --output {output:q} > {log:q} 2>&1"


rule evaluate:
    input:
        model=MODEL_FILES,
        fasta=FASTA,
        index=f"{RESULTS}/genomes/reference.contigs.tsv",
        aliases=ALIASES,
    output:
        f"{RESULTS}/evaluation.json",
    log:
        f"{RESULTS}/logs/evaluate.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate.tsv"
    conda:
        "../envs/titans-dna.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 6000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
        gpu=GPUS,
    params:
        model=model_of,
        contigs=literally(each("--contig", HOLDOUT)),
        aliases=each("--aliases", ALIASES),
        device=config["device"],
    message:
        "Evaluating the model on held-out sequence"
    shell:
        "titans-dna evaluate --model {params.model:q} --fasta {input.fasta:q} {params.contigs} {params.aliases}"
        " --device {params.device} --output {output:q} > {log:q} 2>&1"


rule finetune:
    input:
        model=MODEL_FILES,
        data=files(config["finetune"]["data"]),
        fasta=FASTA,
        index=f"{RESULTS}/genomes/reference.contigs.tsv",
        aliases=ALIASES,
    output:
        config=f"{RESULTS}/classifier/config.json",
        weights=f"{RESULTS}/classifier/model.safetensors",
        result=f"{RESULTS}/classifier/finetune.json",
    log:
        f"{RESULTS}/logs/finetune.log",
    benchmark:
        f"{RESULTS}/benchmarks/finetune.tsv"
    conda:
        "../envs/titans-dna.yaml"
    threads: config["pretrain"]["threads"]
    resources:
        mem_mb=lambda wildcards, attempt: 6000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
        gpu=GPUS,
    params:
        model=model_of,
        classifier=subpath(output.weights, parent=True),
        aliases=each("--aliases", ALIASES),
        mode=config["finetune"]["mode"],
        epochs=each("--epochs", [config["finetune"]["epochs"] or ""]),
        rate=config["finetune"]["learning_rate"],
        seed=config["seed"],
        device=config["device"],
    message:
        "Training a classifier on {input.data}"
    shell:
        "titans-dna finetune --model {params.model:q} --data {input.data:q} --fasta {input.fasta:q} {params.aliases}"
        " --mode {params.mode} {params.epochs} --learning-rate {params.rate} --seed {params.seed} --device {params.device}"
        " --output {params.classifier:q} > {log:q} 2>&1"
