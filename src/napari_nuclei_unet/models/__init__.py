"""Model files, and the user's library of models."""

from napari_nuclei_unet import _deprecated

__getattr__ = _deprecated.renamed(__name__, ("Model", "available_models", "load_model"))
