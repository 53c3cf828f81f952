"""Corpora, tokenizers, synthetic sources and batches."""
