"""The models: one decoder for several families, counts by group, and transformers models from a local path."""
