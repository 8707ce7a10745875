"""Arrays in, arrays out: no files, no devices, no threads, no progress."""
