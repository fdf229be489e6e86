"""A trained model reads sequence and gives scores and embeddings: arrays in, arrays out."""
