"""Anima Bot: the part between Discord and the engine."""

import sys

# Before anything that an older Python cannot even read; pip checks it too, but a checkout can be run without pip.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit(
        f"Anima Bot needs Python 3.11 to 3.14, and this is {sys.version.split()[0]}. Install one of these from "
        "https://www.python.org, and create the virtual environment again with it."
    )
