"""The process that loads one version in the model's own interpreter and answers its calls.

It travels as a zipapp with norman_protocol and needs nothing but Python's standard library; NumPy
is imported only where a tensor is met, a framework only in `runtimes`.
"""

__all__: list[str] = []
