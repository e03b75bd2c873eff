"""The executor process: routing, queues and replicas. Model traffic passes here and only here."""

__all__: list[str] = []
