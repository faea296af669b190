"""How fast this machine runs the hot kernels and the stages, beside what limits them."""
