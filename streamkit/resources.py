"""Where the files that StreamKit brings along are: in an installed wheel, or in a checkout."""

from pathlib import Path
from typing import Literal

from streamkit.errors import StreamKitError


def data_dir(name: Literal["config", "migrations"]) -> Path:
    """Return the folder `name`: `streamkit/_data/` of a wheel, else the one beside the package in a checkout.

    Raises StreamKitError when there is neither, because then the installation is incomplete.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "_data" / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise StreamKitError(f"this installation of StreamKit is incomplete: its folder '{name}' is missing")
