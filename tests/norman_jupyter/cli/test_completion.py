"""TAB in a shell: what argcomplete is told, and bash itself."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


@pytest.fixture
def complete(norman):
    """Return what asks for the completions of a line, as the scripts of the shells do."""

    def ask(line: str, **changes: str) -> list[str]:
        answer = norman.folder / "completions"
        done = subprocess.run(
            [*norman.command],
            cwd=norman.folder,
            env={
                **norman.environment,
                "_ARGCOMPLETE": "1",
                "_ARGCOMPLETE_IFS": "\n",
                "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
                "_ARGCOMPLETE_COMP_WORDBREAKS": "",
                "_ARGCOMPLETE_SHELL": "bash",
                "COMP_LINE": line,
                "COMP_POINT": str(len(line.encode())),
                "COMP_TYPE": "9",
                **changes,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, b""), done.stderr
        return sorted(text.strip() for text in answer.read_text().split("\n") if text.strip())

    return ask


def test_commands_and_options(complete):
    assert complete("norman up") == ["upload"]
    assert complete("norman ro") == ["rollback"]
    assert {"--name", "--tag", "--trust", "--json", "--url"} <= set(complete("norman upload --"))
    assert complete("norman logs --f") == ["--follow"]
    assert complete("norman completion ") == ["bash", "fish", "zsh"]
    assert "succeeded" in complete("norman invocations --state ")


def test_models_versions_aliases_and_inputs_come_from_the_server(complete, norman, upload):
    name = upload("answer")
    norman.succeed("alias", f"{name}@1", "production")
    assert complete(f"norman show {name[:-1]}") == [name]
    assert complete(f"norman versions {name[:-1]}") == [name]
    assert complete(f"norman show {name}@") == [
        f"{name}@1",
        f"{name}@active",
        f"{name}@latest",
        f"{name}@production",
    ]
    assert complete(f"norman rollback {name} --alias p") == ["production"]
    assert complete(f"norman invoke {name} ") == ["loud=", "note=", "text=", "times="]
    assert complete(f"norman invoke {name} ti") == ["times="]
    call = norman.succeed("invoke", name, "text=a", "--json")
    assert complete(f"norman replay {call.split(chr(34))[3]}") != []


def test_paths_also_behind_an_input_and_an_output(complete, norman):
    (norman.folder / "images").mkdir()
    (norman.folder / "images" / "cat.png").touch()
    assert complete("norman upload im") == ["images/"]
    assert complete("norman invoke nosuch x=images/") == ["x=images/cat.png"]
    assert complete("norman invoke nosuch x=@images/c") == ["x=@images/cat.png"]
    assert complete("norman invoke nosuch x=1 -o y=ima") == ["y=images/"]


def test_without_a_server_there_is_nothing_and_no_noise(complete, tmp_path):
    assert complete("norman show ", JUPYTER_RUNTIME_DIR=str(tmp_path)) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_read_by_it(shell, norman):
    script = norman.succeed("completion", shell)
    assert "norman" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script.encode(), check=True, timeout=60)


def test_bash_completes_a_line(norman, upload):
    name = upload("echo")
    program = norman.folder / "norman"
    program.write_text(f'#!/bin/sh\nexec {" ".join(norman.command)} "$@"\n')
    program.chmod(0o755)
    script = norman.succeed("completion", "bash")
    line = f"norman show {name[:-1]}"
    asked = f"""
{script}
COMP_LINE={line!r} COMP_POINT={len(line)} COMP_TYPE=9 COMP_CWORD=2
COMP_WORDS=(norman show {name[:-1]})
_python_argcomplete norman {name[:-1]} show
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        ["bash", "--norc"],
        input=asked.encode(),
        cwd=norman.folder,
        env={**norman.environment, "PATH": f"{norman.folder}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.decode().split() == [name], done.stderr
