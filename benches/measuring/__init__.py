"""What the measuring scripts share. Python's standard library and /usr/bin/time, nothing else."""
