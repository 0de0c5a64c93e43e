"""Faults met from outside, tried again: each section is a script of its own under benchmarks/faults/.

    python benchmarks/faults.py [--quick] [--json] [SECTION …]

A section takes --quick and --json and prints {"rows": [{"what", "ours", "peer", "unit", "ratio"}]}; a new file in that
folder is a new section.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

SECTIONS = {path.stem.replace("_", " "): path for path in sorted((Path(__file__).parent / "faults").glob("*.py"))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"of: {', '.join(SECTIONS)}; all if none is named"
    )
    parser.add_argument("--quick", action="store_true", help="each in its small form")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    unknown = set(asked.sections) - SECTIONS.keys()
    if unknown:
        parser.error(f"unknown section {sorted(unknown)[0]!r}; there are {', '.join(SECTIONS)}")
    options = [name for name, given in (("--quick", asked.quick), ("--json", asked.json)) if given]
    rows, failed = [], []
    for name in asked.sections or SECTIONS:
        done = subprocess.run(
            [sys.executable, str(SECTIONS[name]), *options], stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            failed.append(name)
        elif asked.json:
            content = json.loads(done.stdout)
            rows += content.get("rows", [content])
        else:
            print(f"## {name}\n{done.stdout}")
    if asked.json:
        print(json.dumps({"rows": rows}))
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
