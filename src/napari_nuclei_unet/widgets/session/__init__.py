"""What all docks of a viewer share."""
