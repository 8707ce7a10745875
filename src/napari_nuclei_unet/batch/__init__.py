"""Many files and many planes: what is asked for, where it goes, nuclei across planes."""
