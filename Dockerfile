# docker build -t titans-dna .
# docker run --rm -v "$PWD:/work" titans-dna titans-dna doctor
# The same base, lock and script as recipe/titans-dna.def. A smaller image without CUDA: give pip another index of torch by
# --build-arg PIP_EXTRA_INDEX_URL=...
FROM python:3.12-slim

ARG PIP_EXTRA_INDEX_URL=""
WORKDIR /opt/titans-dna
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY recipe/install.sh ./install.sh
COPY titans_dna ./titans_dna
RUN ./install.sh python '.[workflow,convert]'

WORKDIR /work
CMD ["titans-dna", "--help"]
