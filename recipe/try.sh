#!/bin/sh
# Try an installed titans-dna, away from any checkout: recipe/try.sh VENV FOLDER_OF_DEMO_INPUT
# Asks its doctor, then trains, scores, embeds and reports on the first 12,000 bases of two contigs.
set -eu
venv=$(cd "$1" && pwd)
data=$(cd "$2" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export TITANS_DNA_CACHE="$work/cache"
PATH=$venv/bin:$PATH

titans-dna doctor
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
