"""Controls, threads, messages and preferences that are independent of nuclei."""
