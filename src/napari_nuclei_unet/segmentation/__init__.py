"""From a plane to separated nuclei."""
