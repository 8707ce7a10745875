"""The sample images."""

from napari_nuclei_unet import _deprecated

__getattr__ = _deprecated.renamed(__name__, ("read_sample",))
