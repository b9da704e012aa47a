"""Changes of the store's schema, in order. A new one is a file `versions/vNNNN_what.py` that names the last one."""
