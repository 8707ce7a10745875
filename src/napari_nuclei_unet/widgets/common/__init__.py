"""Controls, threads, messages and preferences that know nothing of nuclei."""
