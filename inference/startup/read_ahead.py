"""Reads the model's files into the system's page cache while PyTorch is imported, so that loading them is quick.

The system reclaims that memory whenever a program needs it.
"""

from __future__ import annotations

import logging
import os
import threading
from io import RawIOBase
from pathlib import Path

import psutil

from inference.request import CheckpointError
from inference.weights.folders import (
    ALL_IN_ONE_FOLDER,
    TEXT_ENCODER_FOLDERS,
    VAE_FOLDERS,
    files_under,
    without_suffix,
)
from inference.weights.headers.diffusion_models import find_diffusion_model

logger = logging.getLogger(__name__)

#: Bytes read at a time.
CHUNK_SIZE = 64 << 20
#: The part of the available memory to leave free.
MIN_FREE_SHARE = 0.2


def read_ahead(
    models: Path, diffusion_model: str | None, text_encoder: str | None = None, vae: str | None = None
) -> threading.Thread:
    """Start reading the files that an engine is going to load; returns at once. Names as in `ModelFiles.find`.

    Files that cannot be found or read are skipped: the engine reports them.
    """

    def run() -> None:
        try:
            for path in expected_files(models, diffusion_model, text_encoder, vae):
                if not fetch(path):
                    return
        except (OSError, CheckpointError) as error:
            logger.debug("model files are not read ahead: %s", error)

    thread = threading.Thread(target=run, name="reading ahead", daemon=True)
    thread.start()
    return thread


def expected_files(models: Path, diffusion_model: str | None, *others: str | None) -> list[Path]:
    """The files in the order in which an engine loads them. Text encoder and VAE only if there is no doubt which.

    Raises CheckpointError.
    """
    found = [find_diffusion_model(models, diffusion_model)]
    for folders, name in zip((TEXT_ENCODER_FOLDERS, VAE_FOLDERS), others, strict=False):
        own = [folder for folder in folders if folder != ALL_IN_ONE_FOLDER]
        files = [path for folder in own for path in files_under(models / folder)]
        named = [path for path in files if name is None or without_suffix(path.name) == without_suffix(name)]
        found += named if len(named) == 1 else []
    return found


def fetch(path: Path) -> bool:
    """Read a file into the system's cache if it fits into the available memory. Returns whether it fits.

    Linux reads in the background when advised to; elsewhere the file is read here, in chunks.
    """
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size > (1 - MIN_FREE_SHARE) * psutil.virtual_memory().available:
            logger.info("%s is not read ahead: too little memory is free.", path.name)
            return False
        advise = getattr(os, "posix_fadvise", None)
        if advise is None:
            read_through(file)
            return True
        for start in range(0, size, CHUNK_SIZE):
            advise(file.fileno(), start, CHUNK_SIZE, os.POSIX_FADV_WILLNEED)
    return True


def read_through(file: RawIOBase) -> int:
    """Read a file to its end and discard the data. Returns the number of bytes."""
    part, total = bytearray(CHUNK_SIZE), 0
    while read := file.readinto(part):
        total += read
    return total
