"""Model files, and the user's library of models."""

from .. import _deprecated

__getattr__ = _deprecated.renamed(__name__, ("Model", "available_models", "load_model"))
