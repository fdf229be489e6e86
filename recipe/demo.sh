#!/bin/sh
# A small demo with an installed titans-dna, in the current folder: recipe/demo.sh FOLDER_OF_DEMO_INPUT
# It trains, scores, embeds and reports on the first 12,000 bases of two contigs.
set -eu
data=$1

head -n 201 "$data/demo.fa" > genome.fa
grep -A 200 '^>chrC' "$data/demo.fa" >> genome.fa
awk '/^#/ || $2 <= 12000' "$data/demo.vcf" > variants.vcf
titans-dna pretrain --fasta genome.fa --holdout chrC --config nano --steps 3 --lanes 2 --window-tokens 128 --output model
titans-dna evaluate --model model --fasta genome.fa --contig chrC --output evaluation.json
titans-dna score-variants --model default --fasta genome.fa --vcf variants.vcf --output scored.vcf.gz
titans-dna score-regions --model model --fasta genome.fa --track surprise.bw --output regions.tsv
titans-dna embed --model model --fasta genome.fa --window-bp 1000 --output embeddings.h5
titans-dna report --model model --evaluation evaluation.json --variants scored.vcf.gz --regions regions.tsv \
  --track surprise.bw --embeddings embeddings.h5 --output report.html
test -s report.html
