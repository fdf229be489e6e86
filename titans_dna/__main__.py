"""``python -m titans_dna``: the command line, as ``torchrun -m titans_dna`` calls it."""

from __future__ import annotations

from titans_dna.cli import main

if __name__ == "__main__":
    main()
