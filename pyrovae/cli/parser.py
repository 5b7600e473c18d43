"""The parser of one command, made of its options; typed, with the nearest right name for a wrong one."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

import yaml
from jsonargparse import (
    ArgumentParser,
    DefaultHelpFormatter,
    Namespace,
    get_loader,
    set_loader,
    set_parsing_settings,
)

from pyrovae.cli.parts import Assignment, assign, described, sealed, split, unsealed
from pyrovae.errors import nearest

O = TypeVar("O")  # noqa: E741 (one letter, as type variables are)

_MODE = "sealed yaml"
"""How values and configurations are read: of a description jsonargparse would import the class."""

_TRUTHS = {"true", "false", "yes", "no"}


class UsageError(Exception):
    """The command line is not one that the command takes."""


class Finished(Exception):
    """The parser has answered already, as ``--help`` does."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclasses.dataclass(frozen=True)
class Command:
    """A command of ``pyrovae``.

    Attributes:
        name: what it is called by.
        description: what it does, the text above its help.
        options: the dataclasses that its options are fields of.
        run: does it.
        takes_run: whether it takes the folder of a run as an argument.
        epilog: examples, below its help.
    """

    name: str
    description: str
    options: tuple[type, ...]
    run: Callable[[Parsed], None]
    takes_run: bool = True
    epilog: str = ""


class Parsed:
    """What the command line and its config file say.

    Attributes:
        values: every option, defaults filled in.
        given: those that were given.
    """

    def __init__(self, command: Command, values: dict[str, Any], given: dict[str, Any]) -> None:
        self.command, self.values, self.given = command, values, given

    def of(self, kind: type[O]) -> O:
        """The options of one kind."""
        names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
        return kind(**{name: self.values[name] for name in names})

    def over(self, stored: dict[str, Any]) -> Parsed:
        """These options over stored ones: what was given counts, then what was stored, then defaults."""
        return Parsed(self.command, {**self.values, **stored, **self.given}, self.given)


def parse(command: Command, words: Sequence[str]) -> Parsed:
    """Reads the words after a command.

    Raises:
        UsageError: for words that it does not take.
        Finished: when ``--help`` or ``--print_config`` was asked for and has been answered.
    """
    parser = make(command)
    fields = {field.name: field.type for kind in command.options for field in dataclasses.fields(kind)}
    parts = [name for name, kind in fields.items() if kind in ("Part", "Parts")]
    flags = [name for name, kind in fields.items() if str(kind).startswith("bool")]
    wanted = [word for word in words if word.split("=")[0] == "--print_config"]
    try:
        rest, assignments = split(_spelled_out([w for w in words if w not in wanted], flags), parts)
        values, given = (_read(parser, rest, assignments, defaults) for defaults in (True, False))
    except (ValueError, TypeError) as error:
        raise UsageError(f"{error}\nSee pyrovae {command.name} --help.") from error
    if wanted:
        print(_printed(parser, values, skip_default="skip_default" in wanted[0]), end="")
        raise Finished(0)
    return Parsed(command, values, given)


def check(command: Command, stored: dict[str, Any]) -> dict[str, Any]:
    """Options that were read from a file, typed and named as the command's are.

    Raises:
        ValueError: for what the command does not take.
    """
    try:
        found = make(command).parse_object(sealed(stored), defaults=False).as_dict()
    except UsageError as error:
        raise ValueError(str(error)) from error
    return {name: unsealed(value) for name, value in found.items()}


def dump(command: Command, values: dict[str, Any]) -> str:
    """Options as YAML that ``--config`` takes, in the parser's order."""
    order = [name for name in vars(make(command).get_defaults()) if values.get(name) is not None]
    return yaml.safe_dump({name: _as_lists(values[name]) for name in order}, sort_keys=False)


def _as_lists(value: Any) -> Any:
    """Lists in place of tuples."""
    if isinstance(value, dict):
        return {name: _as_lists(item) for name, item in value.items()}
    return [_as_lists(item) for item in value] if isinstance(value, list | tuple) else value


def make(command: Command) -> ArgumentParser:
    """The parser of a command."""
    set_parsing_settings(docstring_parse_style=_google())
    set_loader(_MODE, lambda text: sealed(get_loader("yaml")(text)), (yaml.YAMLError,))
    usage = f"pyrovae {command.name} {'RUN ' if command.takes_run else ''}[OPTIONS]"
    parser = _Parser(
        prog=f"pyrovae {command.name}",
        parser_mode=_MODE,
        usage=usage,
        description=command.description,
        epilog=command.epilog,
        formatter_class=_Formatter,
    )
    if command.takes_run:
        parser.add_argument("run", metavar="RUN", type=str, help="the folder of a run, as fit has printed it")
    parser.add_argument("--config", action="config", help="a YAML file of options; later options override it")
    for kind in command.options:
        parser.add_class_arguments(kind)
    parser.add_argument("--debug", action="store_true", help="show where an error came from")
    return parser


class _Parser(ArgumentParser):
    """Raises instead of leaving the process, and says which name was meant."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        raise UsageError(f"{self._reworded(message)}\nSee {self.prog} --help.") from ex

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        if message:
            print(message, file=sys.stderr, end="")
        raise Finished(status)

    def _reworded(self, message: str) -> str:
        known = [action.dest for action in self._actions if "." not in action.dest]
        if found := re.search(r"unrecognized arguments: (--[^\s=]+)", message):
            name = found[1].removeprefix("--")
            return f"{found[1]}: no such option. {nearest(name.split('.')[0], known)}"
        if found := re.search(r"Option '([^']+)' is not accepted", message):
            return f"config key {found[1]!r}: no such option. {nearest(found[1].split('.')[0], known)}"
        if found := re.search(r'Parser key "([^"]+)"[^:]*:\s*(.*)', message, re.DOTALL):
            return f"--{found[1]}: {_plainly(' '.join(found[2].split()))}."
        if message == "the following arguments are required: run":
            return "RUN: expected the folder of a run, got none."
        return message


class _Formatter(DefaultHelpFormatter):
    """Help without the machinery's names of types."""

    def _expand_help(self, action: Any) -> str:
        text: str = super()._expand_help(action)
        text = re.sub(r"type: (Union\[)?dict[^)]*?null\]?, ", "", text)
        return re.sub(r"\s*\((default: null|type: \w+, default: null)\)", "", text)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(indent + line for line in text.strip().splitlines())


def _plainly(what: str) -> str:
    """jsonargparse's complaint about a type in the house's words."""
    what = re.sub(r"<class '([^']+)'>", r"\1", what)
    what = re.sub(r"typing\.Literal\[([^\]]*)\]", lambda found: "one of " + found[1].replace("'", ""), what)
    expected = re.findall(r"Expected (?:an? )?(.*?)(?=\. Got| - | Given|$)", what)
    got = re.findall(r"(?:Got value|Given value): (.*)$", what)
    if not expected or not got:
        return what
    kinds = dict.fromkeys(kind.replace("NoneType", "null") for kind in expected)
    return f"expected {' or '.join(kinds)}, got {got[0]}"


def _read(
    parser: ArgumentParser, words: list[str], assignments: list[Assignment], defaults: bool
) -> dict[str, Any]:
    values = unsealed(parser.parse_args(words, defaults=defaults).as_dict())
    for name in ("config", "debug"):
        values.pop(name, None)
    for root, path, value in assignments:
        values[root] = assign(values.get(root), path, value)
    return {name: _plain(value) for name, value in values.items()}


def _printed(parser: ArgumentParser, values: dict[str, Any], *, skip_default: bool) -> str:
    """Options as YAML, all or those that differ from the defaults."""
    text = parser.dump(_namespace(sealed(values)), format="yaml", skip_default=skip_default)
    return yaml.safe_dump(unsealed(yaml.safe_load(text)), sort_keys=False)


def _plain(value: Any) -> Any:
    return described(value) if isinstance(value, dict) else value


def _namespace(values: dict[str, Any]) -> Namespace:
    return Namespace(**values)  # type: ignore[no-untyped-call]


def _spelled_out(words: Sequence[str], flags: Sequence[str]) -> list[str]:
    """``--resume`` as ``--resume=true``: a flag takes the next word only if that says true or false."""
    spelled: list[str] = []
    for position, word in enumerate(words):
        follower = words[position + 1].lower() if position + 1 < len(words) else ""
        is_flag = word.startswith("--") and word[2:] in flags and follower not in _TRUTHS
        spelled.append(f"{word}=true" if is_flag else word)
    return spelled


def _google() -> Any:
    from docstring_parser import DocstringStyle

    return DocstringStyle.GOOGLE
