"""Starts the policy pack for the Pulumi CLI: the program `pulumi-analyzer-policy-slipway`.

The CLI starts a pack whose runtime is a language through that language's host, and the Python host that can be built
from Go modules (sdk v3.79) starts the wrong folder for newer CLIs. For any other runtime the CLI looks for a program
`pulumi-analyzer-policy-<runtime>` on PATH, which works with every CLI; so the pack's runtime is `slipway`.
"""

import runpy
from pathlib import Path

PACK = Path(__file__).resolve().parent / "pack"


def main() -> None:
    """Serves the pack until the CLI ends the process; the first line on standard output is the port, as it expects.

    The arguments (address of the engine, folder of the pack) are not needed: the pack asks the engine nothing.
    """
    runpy.run_path(str(PACK / "__main__.py"), run_name="__main__")


if __name__ == "__main__":
    main()
