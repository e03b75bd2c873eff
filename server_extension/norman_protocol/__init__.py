"""Words on the wire between notebook, server, executor and worker. Standard library only."""

PROTOCOL_VERSIONS = (1, 1)
"""Oldest and newest version of the frame protocol spoken here, both inclusive."""

__all__ = ["PROTOCOL_VERSIONS"]
