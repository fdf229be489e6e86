"""titans-dna: long-sequence modelling of genomes with Titans.

Importing this package loads no torch; names are fetched from their modules when first used.
"""

from titans_dna.version import __version__

__all__ = ["__version__"]
