"""Training and fine-tuning: annotated images in, a model out."""
