"""The process that does the work: the only one that loads catalog code, TensorFlow or pycuda."""
