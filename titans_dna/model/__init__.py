"""The backbone and its parts: token ids in, logits out. Nothing here reads sequence files or knows tokenizers."""
