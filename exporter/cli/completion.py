"""Completion scripts for bash, zsh and fish, written from the parser: nothing runs when a shell completes."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

SHELLS = ("bash", "zsh", "fish")


@dataclass(frozen=True, slots=True)
class _Flag:
    """A flag or positional argument: its spellings (none for a positional), its values, and its help."""

    names: tuple[str, ...]
    choices: tuple[str, ...]
    takes_value: bool
    is_file: bool
    meaning: str


def script(parser: argparse.ArgumentParser, shell: str, values: Mapping[str, Sequence[str]]) -> str:
    """The script for a shell of SHELLS; `values` has those of flags whose parser takes any."""
    commands = {"": parser, **_commands(parser)}
    meanings = {name: _one_line(text) for name, text in _meanings(parser).items()}
    flags = {name: list(_flags(each, values)) for name, each in commands.items()}
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](meanings, flags)


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    return {name: each for action in _subparsers(parser) for name, each in action.choices.items()}


def _meanings(parser: argparse.ArgumentParser) -> dict[str, str]:
    return {each.dest: each.help or "" for action in _subparsers(parser) for each in action._get_subactions()}  # noqa: SLF001 - argparse has no other way


def _subparsers(parser: argparse.ArgumentParser) -> Iterator[argparse._SubParsersAction[argparse.ArgumentParser]]:
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            yield action


def _flags(parser: argparse.ArgumentParser, values: Mapping[str, Sequence[str]]) -> Iterator[_Flag]:
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way
        if not isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            yield _Flag(
                names=tuple(action.option_strings),
                choices=tuple(str(each) for each in action.choices or values.get(action.dest, ())),
                takes_value=action.nargs != 0,
                is_file=action.metavar == "FILE",
                meaning=_one_line(action.help or ""),
            )


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r" \(default: .*\)$", "", text))


def _bash(meanings: dict[str, str], flags: dict[str, list[_Flag]]) -> str:
    lines = [
        "# bash completion of river-exporter",
        "_river_exporter() {",
        '  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command="" each',
        '  for each in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
        f"    case $each in {'|'.join(meanings)}) command=$each; break;; esac",
        "  done",
        "  [[ $before == = ]] && before=${COMP_WORDS[COMP_CWORD-2]}",
        "  COMPREPLY=()",
        "  case $command:$before in",
    ]
    for command, found in flags.items():
        for flag in found:
            for name in flag.names:
                if flag.choices:
                    reply = f"COMPREPLY=($(compgen -W '{' '.join(flag.choices)}' -- \"$word\")); return"
                elif flag.is_file:
                    reply = 'COMPREPLY=($(compgen -f -- "$word")); return'
                elif flag.takes_value:
                    reply = "return"
                else:
                    continue
                lines.append(f"    {command}:{name}) {reply};;")
    lines += ["  esac", "  case $command in"]
    for command, found in flags.items():
        words = [name for flag in found for name in flag.names]
        words += list(meanings) if not command else []
        words += [choice for flag in found if not flag.names for choice in flag.choices]
        files = ' $(compgen -f -- "$word")' if any(flag.is_file and not flag.names for flag in found) else ""
        pattern = command or '""'
        lines.append(f"    {pattern}) COMPREPLY=($(compgen -W '{' '.join(words)}' -- \"$word\"){files});;")
    lines += ["  esac", "}", "complete -o filenames -F _river_exporter river-exporter", ""]
    return "\n".join(lines)


def _zsh(meanings: dict[str, str], flags: dict[str, list[_Flag]]) -> str:
    lines = [
        "#compdef river-exporter",
        "# zsh completion of river-exporter",
        "_river_exporter() {",
        "  local state line",
    ]
    lines.append("  case $words[2] in")
    for command in meanings:
        lines += [
            f"    {command})",
            "      shift words; (( CURRENT-- ))",
            f"      _arguments {_zsh_arguments(flags[command])}",
        ]
        lines.append("      ;;")
    commands = " ".join(_zsh_quote(f"{name}:{meaning}") for name, meaning in meanings.items())
    lines += [
        "    *)",
        f"      local -a commands=({commands})",
        f"      _arguments {_zsh_arguments(flags[''])} '1:command:->command'",
        "      [[ $state == command ]] && _describe command commands",
        "      ;;",
        "  esac",
        "}",
        "if [[ $funcstack[1] == _river-exporter ]]; then _river_exporter",
        "else compdef _river_exporter river-exporter; fi",
        "",
    ]
    return "\n".join(lines)


def _zsh_arguments(found: list[_Flag]) -> str:
    parts = []
    for flag in found:
        values = f"({' '.join(flag.choices)})" if flag.choices else "_files" if flag.is_file else " "
        value = f":value:{values}" if flag.takes_value else ""
        meaning = re.sub(r"([\[\]:])", r"\\\1", flag.meaning)
        if not flag.names:
            parts.append(_zsh_quote(f"1:value:{values}"))
        parts += [_zsh_quote(f"{name}[{meaning}]{value}") for name in flag.names]
    return " ".join(parts)


def _zsh_quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _fish(meanings: dict[str, str], flags: dict[str, list[_Flag]]) -> str:
    none = f"not __fish_seen_subcommand_from {' '.join(meanings)}"
    lines = ["# fish completion of river-exporter", "complete -c river-exporter -f"]
    lines += [
        f"complete -c river-exporter -n {_fish_quote(none)} -a {name} -d {_fish_quote(meaning)}"
        for name, meaning in meanings.items()
    ]
    for command, found in flags.items():
        when = f"__fish_seen_subcommand_from {command}" if command else none
        for flag in found:
            spelt = " ".join(f"-s {name[1:]}" if len(name) == 2 else f"-l {name[2:]}" for name in flag.names)
            values = f" -xa {_fish_quote(' '.join(flag.choices))}" if flag.choices else ""
            if flag.takes_value and not flag.choices:
                values = " -rF" if flag.is_file else " -x"
            if not flag.names:
                spelt, values = "", f" -a {_fish_quote(' '.join(flag.choices))}" if flag.choices else " -F"
            line = f"complete -c river-exporter -n {_fish_quote(when)} {spelt}{values} -d {_fish_quote(flag.meaning)}"
            lines.append(re.sub(" +", " ", line))
    return "\n".join([*lines, ""])


def _fish_quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
