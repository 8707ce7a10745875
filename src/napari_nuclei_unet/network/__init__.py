"""The U-Net, its encoders and pretrained weights."""
