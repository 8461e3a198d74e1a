"""The model: files, card, tokenizer, and the shard that a stage computes with. mlx is imported here alone."""
