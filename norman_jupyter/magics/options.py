"""The table of commands and their options: parsing, help and completion all come from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

__all__ = [
    "COMMANDS",
    "HELP_FLAG",
    "JSON_FLAG",
    "SHELL_COMMANDS",
    "Command",
    "Option",
    "Place",
    "Positional",
    "find_command",
]

Content: TypeAlias = Literal[
    "text",
    "path",
    "model",
    "reference",
    "servable",
    "bindings",
    "alias",
    "invocation",
    "state",
    "shell",
    "rows",
    "variable",
    "settings",
    "environment",
]
"""What an argument holds, and thereby what completes it."""

Place: TypeAlias = Literal["notebook", "shell"]
"""Where a line is typed: behind ``%norman``, or behind ``norman``."""

HELP_FLAG = "--help"
JSON_FLAG = "--json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Positional:
    """An argument known by its place. A repeatable one takes all that follow.

    ``setting`` names what holds where it is left out.
    """

    name: str
    help: str
    content: Content = "text"
    repeatable: bool = False
    required: bool = True
    setting: str | None = None

    @property
    def usage(self) -> str:
        """How it is written in a usage line."""
        if self.repeatable:
            return f"[{self.name}]…"
        return self.name if self.required else f"[{self.name}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An argument known by its name; a flag where it has no ``metavar``.

    Attributes
    ----------
    short
        Another name, of one letter, such as ``-f``.
    place
        The only place that has it; None: both.
    common
        Whether every command has it: usage lines leave it out.
    setting
        What holds where it is left out.
    """

    name: str
    help: str
    metavar: str | None = None
    content: Content = "text"
    repeatable: bool = False
    short: str | None = None
    place: Place | None = None
    common: bool = False
    setting: str | None = None

    @property
    def usage(self) -> str:
        """How it is written in a usage line."""
        name = self.short or self.name
        text = f"[{name}]" if self.metavar is None else f"[{name} {self.metavar}]"
        return f"{text}…" if self.repeatable else text

    @property
    def heading(self) -> str:
        """Its name, with what it takes."""
        name = self.name if self.short is None else f"{self.short}, {self.name}"
        return name if self.metavar is None else f"{name} {self.metavar}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One subcommand.

    Attributes
    ----------
    changes
        Whether TAB has to ask the server anew after it.
    answers
        Whether there is an answer that ``--json`` prints.
    place
        The only place that has it; None: both.
    shell_details, shell_examples
        In a shell in place of ``details`` and ``examples``, where those don't hold there.
    body
        What may stand below its line in a cell; empty where nothing may.
    """

    name: str
    summary: str
    details: str = ""
    positionals: tuple[Positional, ...] = ()
    options: tuple[Option, ...] = ()
    examples: tuple[str, ...] = ()
    changes: bool = False
    answers: bool = True
    place: Place | None = None
    shell_details: str | None = None
    shell_examples: tuple[str, ...] | None = None
    body: str = ""

    @property
    def usage(self) -> str:
        """The usage line, without the program's name."""
        places = [positional.usage for positional in self.positionals]
        options = [option.usage for option in self.options if not option.common]
        return " ".join([self.name, *places, *options])

    @property
    def asks(self) -> bool:
        """Whether it asks a server."""
        return self.place != "shell"

    @property
    def options_by_name(self) -> Mapping[str, Option]:
        """Its options by their names."""
        return {option.name: option for option in self.options}


_REFERENCE = Positional(
    name="REF",
    help="a model (name, its active version), or a version of it: name@3, name@latest, name@ALIAS",
    content="reference",
)

_MODEL = Positional(name="MODEL", help="the name of a model", content="model")

_LIMIT = Option(name="--limit", metavar="N", help="show so many; by default 20")

_MODEL_LIMIT = Option(name="--limit", metavar="N", help="show so many; by default 50")

_HOME = Option(
    name="--home",
    metavar="FOLDER",
    content="path",
    place="shell",
    help="the home of a server that doesn't run; by default that of this user",
)

_OUTPUT = Option(
    name="--output",
    short="-o",
    metavar="NAME=FILE",
    content="path",
    repeatable=True,
    place="shell",
    help="write this output to a file (- is standard output); NAME= may be left out where there "
    "is one output. An array becomes .npy where the file's name ends so, else JSON",
)

_VALUES = """\
A value is, in this order:
  the name of a variable     image=img          the object itself is sent
  a Python literal           top=3  sizes=[1, 2]
  the path of a file         image=seven.png    its bytes are sent
  else text                  text=hello
  {expression}               image={X_test[0]}  evaluated in the notebook
  @path                      image=@seven.png   a file for certain
  quotes                     text="42"          text for certain
For an input of text, a file is the text in it (UTF-8): text=@notes.txt."""

_SHELL_VALUES = """\
What the input takes decides how a value is read:
  text                       text=hello         as it stands, also text=42
  an image, sound or file    image=seven.png    the path of a file
  a number, list, anything   top=3  sizes='[1, 2]'  loud=true   JSON, else text
  @path                      notes=@notes.txt   a file for certain; @- is standard input
  -                          norman invoke digits - < inputs.json
                             every input from a JSON object on standard input
Where standard output is a terminal, the outputs are shown. Elsewhere a single output is
written as it is (a file its bytes, text its characters, anything else JSON), several as a JSON
object. Bytes never go to a terminal."""

_TABLE: tuple[Command, ...] = (
    Command(
        name="upload",
        summary="Upload a model and serve it as a new version",
        details=(
            "PATH is an .onnx or .pt file, a folder with one, or a folder with a model.py. The\n"
            "version becomes active when it is ready; until then the previous one serves. The\n"
            "same files again are the same version.\n"
            "\n"
            "A norman.toml in the folder says what the model's inputs and outputs are to people:\n"
            "titles, encodings, layouts of tensors. FILE (.toml or .json) counts before it, key\n"
            "by key; without PATH it names the model's files too, under assets. The other\n"
            "options count before both.\n"
            "\n"
            "Of a folder, .git, .venv, node_modules, __pycache__, *.pyc, .ipynb_checkpoints and\n"
            ".DS_Store stay behind, and what a .normanignore in it names, in the manner of a\n"
            ".gitignore (!node_modules takes them in again). Links are followed as long as they\n"
            "lead to what is inside."
        ),
        positionals=(
            Positional(
                name="PATH",
                help="file or folder to upload; ~ is home",
                content="path",
                required=False,
            ),
        ),
        options=(
            Option(
                name="--name",
                metavar="N",
                content="model",
                help="name of the model; by default that of the file or folder",
            ),
            Option(name="--version-label", metavar="L", help="a label for this version"),
            Option(name="--description", metavar="D", help="what the version is, in a sentence"),
            Option(name="--long-description", metavar="T", help="all there is to say of it"),
            Option(
                name="--tag", metavar="T", help="a tag; may be given several times", repeatable=True
            ),
            Option(
                name="--trust",
                help="allow formats that run code when they are loaded, such as model.py",
            ),
            Option(name="--no-activate", help="leave the active version as it is"),
            Option(
                name="--config",
                metavar="FILE",
                content="path",
                help="what is said of the model, as in norman.toml; or all of it, with its assets",
            ),
            Option(
                name="--dry-run",
                help="only show what would be uploaded: format, signature, files, trust, memory",
            ),
        ),
        examples=(
            "%norman upload ./model --name digits",
            "%norman upload ./model --config mirror.toml --dry-run",
            "%norman upload ./answer --trust --tag draft --tag text",
        ),
        changes=True,
    ),
    Command(
        name="invoke",
        summary="Call a model",
        details=_VALUES,
        positionals=(
            replace(_REFERENCE, content="servable", setting="model"),
            Positional(
                name="KEY=VALUE",
                help="an input of the model and its value",
                content="bindings",
                repeatable=True,
                required=False,
            ),
        ),
        options=(
            Option(
                name="--timeout",
                metavar="S",
                help="give up after so many seconds, waiting in the queue included",
                setting="timeout",
            ),
            Option(
                name="--over",
                metavar="DATA",
                content="rows",
                place="notebook",
                help="call it for each row of a DataFrame, list, dictionary of columns or array, "
                "or for each file of a pattern; gives a DataFrame. KEY=VALUE is then for every row",
            ),
            Option(
                name="--into",
                metavar="NAME",
                content="variable",
                place="notebook",
                help="keep the result in this variable, what was done when interrupted too",
            ),
            Option(
                name="--in-flight",
                metavar="N",
                place="notebook",
                setting="in_flight",
                help="with --over: so many rows at once; 16 if absent",
            ),
            _OUTPUT,
        ),
        examples=(
            "%norman invoke digits image=img",
            "result = %norman invoke digits@2 image={X_test[:10]} --timeout 5",
            "%norman invoke digits --over df --into answers",
            "%norman invoke digits --over images/*.png top=3",
        ),
        body=(
            "In a cell that begins with %%norman invoke, what stands below is a JSON object of\n"
            "inputs where it begins with {, else the one text input."
        ),
        shell_details=_SHELL_VALUES,
        shell_examples=(
            "norman invoke answer text=hello",
            "norman invoke reverse image=@cat.png --output tac.png",
            "norman invoke digits@2 image='[[0, 1, 2]]' --json",
        ),
    ),
    Command(
        name="last",
        summary="Give the last result again; it is in the variable _norman too",
        examples=("%norman last",),
        place="notebook",
    ),
    Command(
        name="download",
        summary="Give the files of a version back",
        details=(
            "The files come into a new folder, NAME-NUMBER unless FOLDER says another, each held\n"
            "to its digest. In a folder that stands already, what is there as it should be is not\n"
            "fetched again, and nothing is overwritten."
        ),
        positionals=(
            _REFERENCE,
            Positional(
                name="FOLDER",
                help="where to put them; ~ is home",
                content="path",
                required=False,
            ),
        ),
        examples=(
            "%norman download digits@2",
            "folder = %norman download digits ./digits-as-served",
        ),
        shell_examples=(
            "norman download digits@2",
            "norman download digits ./digits-as-served",
        ),
    ),
    Command(
        name="models",
        summary="List the models",
        options=(
            Option(
                name="--search",
                metavar="S",
                content="model",
                help="only those with this text in their name, or in a label, description or "
                "tag of a version",
            ),
            _MODEL_LIMIT,
        ),
        examples=("%norman models", "%norman models --search digit"),
    ),
    Command(
        name="search",
        summary="List the models that a text is said of, as models --search does",
        positionals=(
            Positional(
                name="TEXT",
                help="a part of a name, or of a label, description or tag of a version",
            ),
        ),
        options=(_MODEL_LIMIT,),
        examples=("%norman search digit",),
    ),
    Command(
        name="show",
        summary="Show a model, a version, or a recorded call",
        details=(
            "Of a version: signature, state, files, origin. Of a call, by its id: when, by whom,\n"
            "inputs and outputs where they are kept, its error, what the model printed."
        ),
        positionals=(
            Positional(
                name="REF",
                help="a model, a version (name@3, name@latest, name@ALIAS), or an invocation's id",
                content="reference",
                setting="model",
            ),
        ),
        examples=("%norman show digits", "%norman show digits@2", "%norman show {result.id}"),
        shell_examples=("norman show digits", "norman show digits@2"),
    ),
    Command(
        name="versions",
        summary="List the versions of a model, newest first",
        positionals=(replace(_MODEL, setting="model"),),
        options=(_LIMIT,),
        examples=("%norman versions digits",),
    ),
    Command(
        name="alias",
        summary="Let a name lead to a version; list such names",
        details=(
            "Without ALIAS the aliases of the model are listed. A version is loaded and warm\n"
            "before an alias leads to it; calls that run meanwhile end where they began.\n"
            "active is the version that a bare name means; latest is the newest and can't be set."
        ),
        positionals=(
            _REFERENCE,
            Positional(
                name="ALIAS",
                help="a name that starts with a letter, such as production",
                content="alias",
                required=False,
            ),
        ),
        options=(
            Option(name="--why", metavar="T", help="the reason, for the history"),
            Option(name="--delete", help="take the alias away; its history stays"),
        ),
        examples=(
            "%norman alias digits@3 production --why 'better on sevens'",
            "%norman alias digits production --delete",
            "%norman alias digits",
        ),
        changes=True,
    ),
    Command(
        name="rollback",
        summary="Go back to the version before; again goes further back",
        details=(
            "An alias follows its own history back, one version at a time. Undo with %norman alias."
        ),
        positionals=(_MODEL,),
        options=(
            Option(name="--to", metavar="N", help="the version's number to go back to"),
            Option(
                name="--alias",
                metavar="A",
                content="alias",
                help="the alias to roll back; by default active",
            ),
            Option(name="--why", metavar="T", help="the reason, for the history"),
        ),
        examples=("%norman rollback digits", "%norman rollback digits --to 1 --alias production"),
        changes=True,
    ),
    Command(
        name="history",
        summary="Show who let which alias lead where, when and why",
        positionals=(replace(_MODEL, setting="model"),),
        options=(
            Option(
                name="--alias", metavar="A", content="alias", help="only the changes of this alias"
            ),
            _LIMIT,
        ),
        examples=("%norman history digits", "%norman history digits --alias production"),
    ),
    Command(
        name="diff",
        summary="Compare two versions: signature, files, environment, settings",
        positionals=(
            _REFERENCE,
            Positional(name="OTHER", help="another version of the same model", content="reference"),
        ),
        examples=("%norman diff digits@1 digits@2",),
    ),
    Command(
        name="edit",
        summary="Change label, descriptions and tags of a version",
        details="What is not given stays as it is; an empty text ('') removes.",
        positionals=(_REFERENCE,),
        options=(
            Option(name="--version-label", metavar="L", help="a label for the version"),
            Option(name="--description", metavar="D", help="what it is, in a sentence"),
            Option(name="--long-description", metavar="T", help="all there is to say of it"),
            Option(
                name="--tag",
                metavar="T",
                help="a tag, in place of those there are; may be given several times",
                repeatable=True,
            ),
            Option(name="--no-tags", help="take all tags away"),
        ),
        examples=("%norman edit digits@2 --version-label better --tag mine",),
        changes=True,
    ),
    Command(
        name="invocations",
        summary="List recorded calls, newest first",
        positionals=(
            Positional(
                name="REF",
                help="only those of a model, or of a version: name@3",
                content="reference",
                required=False,
            ),
        ),
        options=(
            Option(
                name="--state",
                metavar="S",
                content="state",
                help="only those that are queued, running, succeeded, failed, cancelled, timed_out "
                "or interrupted",
            ),
            Option(
                name="--since",
                metavar="WHEN",
                help="only those from then on: 90m, 12h, 3d ago, today, 2031-05-06, "
                "2031-05-06T07:08",
            ),
            Option(name="--limit", metavar="N", help="at most so many; 20 if absent"),
        ),
        examples=(
            "%norman invocations",
            "%norman invocations digits@2 --state failed --since 3d --limit 100",
        ),
    ),
    Command(
        name="replay",
        summary="Run the recorded inputs of a call again",
        details="The new call is recorded with the id of the one that it repeats.",
        positionals=(Positional(name="ID", help="the invocation's id", content="invocation"),),
        options=(
            Option(
                name="--with",
                metavar="REF",
                content="servable",
                help="run them with this version; by default with the one that was called",
            ),
            _OUTPUT,
        ),
        examples=(
            "%norman replay {result.id}",
            "%norman replay 01a1fb8fa5db7da8850699b9950daea1 --with digits@2",
        ),
        shell_examples=("norman replay 01a1fb8fa5db7da8850699b9950daea1 --with digits@2",),
    ),
    Command(
        name="cancel",
        summary="End a call that is queued or running, whoever made it",
        positionals=(Positional(name="ID", help="the invocation's id", content="invocation"),),
        examples=("%norman cancel 01a1fb8fa5db7da8850699b9950daea1",),
    ),
    Command(
        name="rm",
        summary="Delete a version, or a whole model",
        details=(
            "A version that an alias leads to, or that a replica serves, is not deleted; the\n"
            "message says which. Numbers are never given again, and recorded calls stay. Files\n"
            "that no other version has are removed a day later (%norman gc)."
        ),
        positionals=(
            Positional(
                name="REF",
                help="a version: name@3; with --all the name of a model",
                content="reference",
            ),
        ),
        options=(
            Option(name="--stop", help="stop a replica of it that has nothing to do"),
            Option(name="--all", help="delete the model with all its versions and aliases"),
            Option(name="--yes", help="with --all: don't ask"),
        ),
        examples=("%norman rm digits@1", "%norman rm digits --all"),
        changes=True,
    ),
    Command(
        name="gc",
        summary="Remove files that no version needs any more",
        details=(
            "The server does so by itself now and then. A file stays for a grace (a day) after\n"
            "somebody last asked for it; what a version has is never touched."
        ),
        options=(Option(name="--dry-run", help="only say what would go"),),
        examples=("%norman gc --dry-run",),
    ),
    Command(
        name="du",
        summary="Show what takes the disk",
        positionals=(
            Positional(
                name="MODEL",
                help="list the versions of this model only",
                content="model",
                required=False,
            ),
        ),
        examples=("%norman du", "%norman du digits"),
    ),
    Command(
        name="doctor",
        summary="Check that everything that the server keeps fits together",
        details=(
            "Files, databases, versions, processes, sockets, disk. What is in order by itself\n"
            "soon is a note, what keeps something from working an error. In a shell, norman\n"
            "doctor does the same, also while no server runs."
        ),
        shell_details=(
            "Files, databases, versions, processes, sockets, disk. What is in order by itself\n"
            "soon is a note, what keeps something from working an error. The running server\n"
            "examines its home itself; where none runs, this process does. It exits with 0 where\n"
            "all is well, 1 where something isn't, 2 where it couldn't be told."
        ),
        options=(
            Option(name="--repair", help="mend what can be mended without losing anything"),
            Option(name="--deep", help="read every stored byte"),
            _HOME,
        ),
        examples=("%norman doctor", "%norman doctor --repair"),
    ),
    Command(
        name="logs",
        summary="Show what a version has written while loading and serving",
        positionals=(replace(_REFERENCE, setting="model"),),
        options=(
            Option(
                name="--follow",
                short="-f",
                place="shell",
                help="go on showing what is written, until Ctrl-C",
            ),
        ),
        examples=("%norman logs digits",),
        shell_examples=("norman logs digits", "norman logs -f digits | grep -i error"),
    ),
    Command(
        name="connect",
        summary="Let this notebook's commands go to a server",
        details=(
            "It is asked before anything changes. Without URL the server is found as in a new\n"
            "kernel. A token is read from an environment variable and never shown."
        ),
        positionals=(
            Positional(name="URL", help="such as https://hub.example/user/ann", required=False),
        ),
        options=(
            Option(
                name="--token-env",
                metavar="NAME",
                content="environment",
                help="the environment variable that holds the server's token",
            ),
        ),
        examples=("%norman connect https://hub.example/user/ann --token-env HUB_TOKEN",),
        changes=True,
        place="notebook",
    ),
    Command(
        name="config",
        summary="Show or set what holds where a command doesn't say it",
        details=(
            "For this notebook, as long as its kernel runs. For a project the same stands in the\n"
            "nearest pyproject.toml upwards that has a table [tool.norman]; token_env can't stand\n"
            "there. KEY= unsets."
        ),
        positionals=(
            Positional(
                name="KEY=VALUE",
                help="url, token_env, model, timeout, in_flight or trust, and its value",
                content="settings",
                repeatable=True,
                required=False,
            ),
        ),
        examples=("%norman config", "%norman config model=digits timeout=30"),
        changes=True,
        place="notebook",
    ),
    Command(
        name="status",
        summary="Show the server: what runs, and on what",
        examples=("%norman status",),
    ),
    Command(
        name="serve",
        summary="Start a Jupyter server with Norman and without JupyterLab",
        positionals=(
            Positional(
                name="OPTION",
                help="goes to the server as it is: norman serve --help lists them",
                repeatable=True,
                required=False,
            ),
        ),
        answers=False,
        place="shell",
        shell_examples=("norman serve --port 8890",),
    ),
    Command(
        name="restore",
        summary="Put the newest sound backup in the place of a damaged database",
        details="No server may run meanwhile. The damaged file is kept.",
        positionals=(
            Positional(
                name="BACKUP",
                help="name of a backup; by default the newest sound one",
                required=False,
            ),
        ),
        options=(Option(name="--list", help="only list the backups"), _HOME),
        answers=False,
        place="shell",
        shell_examples=("norman restore --list", "norman restore"),
    ),
    Command(
        name="completion",
        summary="Print the script by which a shell completes norman at TAB",
        details=(
            'bash:  eval "$(norman completion bash)"     in ~/.bashrc\n'
            'zsh:   eval "$(norman completion zsh)"      in ~/.zshrc, after compinit\n'
            "fish:  norman completion fish | source       in ~/.config/fish/config.fish"
        ),
        positionals=(Positional(name="SHELL", help="bash, zsh or fish", content="shell"),),
        answers=False,
        place="shell",
        shell_examples=("norman completion bash",),
    ),
)

_JSON = Option(
    name=JSON_FLAG, common=True, help="print the answer as one JSON document, as REST gives it"
)

_COMMON = (
    Option(
        name="--url",
        metavar="URL",
        common=True,
        help="the server; by default the one that is found",
    ),
    Option(
        name="--token-env",
        metavar="NAME",
        content="environment",
        common=True,
        help="the environment variable that holds the server's token",
    ),
    Option(name="--debug", common=True, help="show the traceback of an error"),
)
"""What every command takes in a shell that asks a server."""


def _commands_in(place: Place) -> tuple[Command, ...]:
    return tuple(_as_in(place, command) for command in _TABLE if command.place in (None, place))


def _as_in(place: Place, command: Command) -> Command:
    options = tuple(option for option in command.options if option.place in (None, place))
    if command.answers:
        options += (_JSON,)
    if place == "notebook":
        return replace(command, options=options)
    examples = command.shell_examples
    if examples is None:
        examples = tuple(example.removeprefix("%") for example in command.examples)
    details = command.details if command.shell_details is None else command.shell_details
    return replace(
        command,
        options=options + (_COMMON if command.asks else _COMMON[-1:]),
        details=details.replace("%norman", "norman"),
        examples=examples,
    )


COMMANDS = _commands_in("notebook")
"""What ``%norman`` knows."""

SHELL_COMMANDS = _commands_in("shell")
"""What ``norman`` knows in a shell."""


def find_command(name: str, commands: Sequence[Command] = COMMANDS) -> Command | None:
    """Return the command of that name, or None.

    Examples
    --------
    >>> find_command("models").summary
    'List the models'
    """
    return next((command for command in commands if command.name == name), None)
