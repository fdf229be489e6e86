# docker build -t titans-dna .
# docker run --rm -v "$PWD:/work" titans-dna titans-dna doctor
# The same base, lock and script as recipe/titans-dna.def. A smaller image without CUDA: give pip another index of torch by
# --build-arg PIP_EXTRA_INDEX_URL=...
FROM python:3.12-slim

LABEL org.opencontainers.image.title="titans-dna" \
      org.opencontainers.image.description="Long-sequence modelling of genomes with Titans: memory that learns at test time" \
      org.opencontainers.image.version="0.2.0" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.authors="The titans-dna authors" \
      org.opencontainers.image.url="https://pypi.org/project/titans-dna/" \
      org.opencontainers.image.documentation="https://pypi.org/project/titans-dna/" \
      org.opencontainers.image.base.name="docker.io/library/python:3.12-slim"

ARG PIP_EXTRA_INDEX_URL=""
WORKDIR /opt/titans-dna
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY recipe/install.sh ./install.sh
COPY titans_dna ./titans_dna
RUN ./install.sh python '.[workflow,convert]'

WORKDIR /work
CMD ["titans-dna", "--help"]
