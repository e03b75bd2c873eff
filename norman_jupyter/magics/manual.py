"""Help texts, made from the table of commands."""

from __future__ import annotations

from collections.abc import Sequence

from norman_jupyter.magics.options import COMMANDS, HELP_FLAG, Command

__all__ = ["command_help", "overview"]


def overview(program: str = "%norman", commands: Sequence[Command] = COMMANDS) -> str:
    """Return the help of the program as a whole: every command with its summary.

    Examples
    --------
    >>> overview().splitlines()[0]
    'usage: %norman COMMAND …'
    """
    rows = [(command.name, command.summary) for command in commands]
    return "\n".join(
        [
            f"usage: {program} COMMAND …",
            "",
            "From a notebook cell to a versioned, isolated, monitored model service.",
            "",
            "commands:",
            *_columns(rows),
            "",
            f"{program} COMMAND {HELP_FLAG} tells about one of them.",
        ]
    )


def command_help(command: Command, program: str = "%norman") -> str:
    """Return the help of one command.

    Examples
    --------
    >>> from norman_jupyter.magics.options import find_command
    >>> command_help(find_command("logs")).splitlines()[0]
    'usage: %norman logs REF'
    """
    lines = [f"usage: {program} {command.usage}", "", f"{command.summary}."]
    if command.details:
        lines += ["", command.details]
    if command.body and program.startswith("%"):
        lines += ["", command.body]
    if command.positionals:
        rows = [(positional.name, positional.help) for positional in command.positionals]
        lines += ["", "arguments:", *_columns(rows)]
    rows = [(option.heading, option.help) for option in command.options]
    rows.append((HELP_FLAG, "show this help"))
    lines += ["", "options:", *_columns(rows)]
    if command.examples:
        lines += ["", "examples:", *(f"  {example}" for example in command.examples)]
    return "\n".join(lines)


def _columns(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = max(len(left) for left, _ in rows)
    return [f"  {left:<{width}}  {right}" for left, right in rows]
