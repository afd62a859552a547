"""`anima run` for a busy machine: before it acknowledges, its database may take as long as TIMEOUT_VARIABLE says.

Without that variable it waits as long as it does for people.
"""

from __future__ import annotations

import os

from inference.startup.garbage import without_garbage_collection

#: The variable with the seconds.
TIMEOUT_VARIABLE = "ANIMA_TEST_TIMEOUT"


def be_patient() -> None:
    if seconds := os.environ.get(TIMEOUT_VARIABLE):
        with without_garbage_collection():  # as `anima run` imports
            from bot.jobs.acknowledgement import acknowledgements  # not at the top: engines' processes import this too

        acknowledgements.DATABASE_TIMEOUT = float(seconds)


if __name__ == "__main__":
    from bot.__main__ import main

    be_patient()
    main(["run"])
