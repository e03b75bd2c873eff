"""Files of images, sound and video into tensors, and back.

Runs as a process of its own (``python -m norman_codec``) in the server's interpreter, so that
nobody's bytes are parsed in the server or the executor; the modules that decode and encode can be
called in a notebook's process too.
"""

__all__: list[str] = []
