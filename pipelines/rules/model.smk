# Train a model on all contigs but the held-out ones, and evaluate it on those.


rule pretrain:
    input:
        fasta=located(config["genome"]["fasta"]),
        tokenizer=[] if NAMED_TOKENIZER else [TOKENIZER],
        aliases=ALIASES,
    output:
        config=f"{MODEL}/config.json",
        weights=f"{MODEL}/model.safetensors",
        tokenizer=f"{MODEL}/tokenizer.json",
        training=f"{MODEL}/training.json",
        log=f"{MODEL}/log.csv",
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
        holdout=each("--holdout", config["genome"]["holdout"]),
        aliases=each("--aliases", ALIASES),
        config=config["pretrain"]["config"],
        tokenizer=TOKENIZER,
        steps=config["pretrain"]["steps"],
        lanes=config["pretrain"]["lanes"],
        window=config["pretrain"]["window_tokens"],
        rate=config["pretrain"]["learning_rate"],
        soft_mask=config["pretrain"]["soft_mask_weight"],
        evaluate_every=config["pretrain"]["evaluate_every"],
        seed=config["seed"],
        device=config["device"],
    message:
        "Training a {params.config} model for {params.steps} steps on {input.fasta}"
    shell:
        "titans-dna pretrain --fasta {input.fasta:q} {params.holdout} {params.aliases} --config {params.config:q}"
        " --steps {params.steps} --tokenizer {params.tokenizer:q} --lanes {params.lanes} --window-tokens {params.window} --learning-rate {params.rate}"
        " --soft-mask-weight {params.soft_mask} --evaluate-every {params.evaluate_every}"
        " --seed {params.seed} --device {params.device} --output {params.model:q} > {log:q} 2>&1"


rule evaluate:
    input:
        model=rules.pretrain.output,
        fasta=located(config["genome"]["fasta"]),
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
        model=model_folder,
        contigs=each("--contig", config["genome"]["holdout"]),
        aliases=each("--aliases", ALIASES),
        device=config["device"],
    message:
        "Evaluating the model on held-out sequence"
    shell:
        "titans-dna evaluate --model {params.model:q} --fasta {input.fasta:q} {params.contigs} {params.aliases}"
        " --device {params.device}"
        " --output {output:q} > {log:q} 2>&1"
