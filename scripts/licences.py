"""Print the licence of each package that `pip install caesura` brings, as a table.

Usage: python scripts/licences.py [EXTRA ...]
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement


def needed(name, extras, found):
    """Collect a distribution and all that it requires here."""
    try:
        own = distribution(name)
    except PackageNotFoundError:
        return
    key = re.sub(r"[-_.]+", "-", own.name).lower()
    if key in found and not extras:
        return
    found[key] = own
    for line in own.requires or []:
        asked = Requirement(line)
        marks = [{"extra": extra} for extra in (*extras, "")]
        if asked.marker is None or any(asked.marker.evaluate(mark) for mark in marks):
            needed(asked.name, asked.extras, found)


def licence_of(own):
    """Return the licence that a distribution states, in a few words."""
    meta = own.metadata
    if meta.get("License-Expression"):
        return meta["License-Expression"]
    classes = [c for c in meta.get_all("Classifier") or [] if c.startswith("License ::")]
    if classes:
        return ", ".join(c.rpartition(":: ")[2] for c in classes)
    lines = (meta.get("License") or "not stated").strip().splitlines()
    return lines[0][:60]


def main():
    """Print the table."""
    found = {}
    needed("caesura", tuple(sys.argv[1:]), found)
    print("| package | version | licence |\n|---|---|---|")
    for name, own in sorted(found.items()):
        if name != "caesura":
            print(f"| {name} | {own.version} | {licence_of(own)} |")


if __name__ == "__main__":
    main()
