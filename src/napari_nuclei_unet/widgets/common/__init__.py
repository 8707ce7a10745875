"""Controls, jobs and preferences that all docks share."""
