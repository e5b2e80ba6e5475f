"""The numbered frames of one execution, in this process."""
