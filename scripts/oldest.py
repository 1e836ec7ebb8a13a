"""Print constraints that hold each dependency at its lowest declared version.

Usage: python scripts/oldest.py [EXTRA...] > FILE; pip install --constraint FILE -e ".[EXTRA,...]"
"""

import re
import sys
import tomllib
from pathlib import Path


def lowest(requirement):
    """Return NAME==VERSION of a requirement's lower bound."""
    found = re.match(r"([\w.-]+)\s*>=\s*([\w.]+)", requirement)
    if found is None:
        raise SystemExit(f"{requirement!r} declares no lowest version")
    return f"{found[1]}=={found[2]}"


def main():
    """Print a line for each dependency and each of the named extras'."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    named = [one for extra in sys.argv[1:] for one in extras[extra]]
    for requirement in [*project["dependencies"], *named]:
        print(lowest(requirement))


if __name__ == "__main__":
    main()
