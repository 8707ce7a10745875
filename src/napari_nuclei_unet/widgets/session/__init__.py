"""What all docks of a viewer share: models, predictions, results."""
