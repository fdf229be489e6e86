"""Write the recorded outputs anew: ``python tests/recorded/record_outputs.py``; `git diff` shows what has changed."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from recorded.commands import COMMANDS, inside, run_command, write_inputs, write_recalling_model
from recorded.products import as_text, plain

OUTPUTS = Path(__file__).with_name("outputs")


def products(kind: str, folder: Path, failed: Callable[[str], None] | None = None) -> dict[str, list[str]]:
    """Run all commands of a model in an empty folder, and return what each output holds.

    Parameters
    ----------
    kind
        A key of `COMMANDS`.
    folder
        Where to run them.
    failed
        Is told of a command that fails; None to stop at the first.
    """
    write_inputs(folder)
    if kind == "recalling":
        write_recalling_model(folder / kind)
    sha = hashlib.sha256((folder / kind / "model.safetensors").read_bytes()).hexdigest()
    # The weights of a seed differ in the last bit between processors, and so do their checksums.
    hidden = {sha: "<weights>", sha[:12]: "<weights>"}
    found: dict[str, list[str]] = {}
    with inside(folder):
        for command in COMMANDS[kind]:
            if command.needs and find_spec(command.needs) is None:
                continue
            try:
                said = run_command(command, kind)
            except RuntimeError as error:
                if failed is None:
                    raise
                failed(str(error))
                continue
            for name in command.outputs:
                found[name] = as_text(folder / name, hidden)
            if not command.outputs:
                found[command.words] = plain(said.splitlines(), hidden)
    return found


def read_recorded(kind: str) -> dict[str, list[str]]:
    """Return the recorded outputs of a model."""
    recorded: dict[str, list[str]] = json.loads((OUTPUTS / f"{kind}.json").read_text())
    return recorded


if __name__ == "__main__":
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else OUTPUTS
    for kind in sys.argv[2:] or COMMANDS:
        with tempfile.TemporaryDirectory() as place:
            made = products(kind, Path(place), failed=print if sys.argv[1:] else None)
        (output / f"{kind}.json").write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")
