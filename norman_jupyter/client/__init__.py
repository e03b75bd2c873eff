"""The client of a Norman server: one sans-I/O core, a blocking driver and an asyncio one."""

__all__: list[str] = []
