"""The backbone and its parts. Nothing here knows of DNA: ids in, logits out."""
