"""The sample images."""

from .. import _deprecated

__getattr__ = _deprecated.renamed(__name__, ("read_sample",))
