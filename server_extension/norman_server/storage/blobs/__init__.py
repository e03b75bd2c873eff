"""Bytes named by their SHA-256 digest, each stored once."""
