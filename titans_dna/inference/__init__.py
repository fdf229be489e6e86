"""A trained model at work: scores and embeddings."""
