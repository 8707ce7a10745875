"""Model files, and the user's library of models."""
