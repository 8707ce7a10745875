"""U-Net and encoders."""
