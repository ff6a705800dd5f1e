"""Whether the benches of benches/instructions.rs take more instructions than benches/baseline.json says.

    check_instructions.py             runs them and fails where one takes over 3 % more, naming it
    check_instructions.py --record    runs them and writes the baseline

The counts are callgrind's, the same on a busy machine; another version of a dependency may move them,
and then the baseline is recorded anew in the commit that brings it. Libraries choose their code by the
processor; so counts of another one, or of another compiler, than the baseline's are printed and not
compared.
"""

import json
import os
import pathlib
import platform
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BASELINE = ROOT / "benches" / "baseline.json"
COUNTS = TARGET / "gungraun" / "scopegate" / "instructions"
TOLERANCE = 0.03
# With the dependencies as the tests have them, so that only this crate is built anew; what counts is the
# difference between two builds of this kind.
OPTIMISED = {"CARGO_PROFILE_DEV_OPT_LEVEL": "2"}


def main():
    subprocess.run(["cargo", "bench", "--quiet", "--profile", "dev", "--bench", "instructions"], check=True, cwd=ROOT,
                   stdout=subprocess.DEVNULL, env=os.environ | OPTIMISED)
    counts = {}
    for file in COUNTS.rglob("callgrind.*.out"):
        # One for each thread where there are several.
        counts[file.parent.name] = counts.get(file.parent.name, 0) + instructions(file)
    here = {"compiler": compiler(), "processor": processor()}
    if "--record" in sys.argv[1:]:
        BASELINE.write_text(json.dumps(here | {"instructions": dict(sorted(counts.items()))}, indent=2) + "\n")
        print(f"recorded {len(counts)} benches in {BASELINE.relative_to(ROOT)}")
        return 0
    recorded = json.loads(BASELINE.read_text())
    other = [name for name in here if here[name] != recorded[name]]
    if other:
        print(json.dumps(counts, indent=2))
        print(f"not compared: the baseline is of another {' and '.join(other)}")
        return 0
    baseline = recorded["instructions"]
    worse = [line for name in sorted({*counts, *baseline}) if (line := verdict(name, counts.get(name), baseline.get(name)))]
    print("\n".join(worse) or f"{len(counts)} benches take no more instructions than recorded")
    return 1 if worse else 0


def compiler():
    return subprocess.run(["rustc", "--version"], check=True, cwd=ROOT, capture_output=True, text=True).stdout.strip()


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        found = re.search(r"model name\s*: (.*)", file.read())
    return found[1] if found else platform.machine()


def instructions(file):
    """The total of a callgrind file, whose first event is instructions read."""
    total = next(line for line in file.read_text().splitlines() if line.startswith(("totals:", "summary:")))
    return int(total.split()[1])


def verdict(name, count, recorded):
    """What is wrong with a bench, if anything."""
    if count is None or recorded is None:
        return f"{name}: is {'not recorded' if recorded is None else 'recorded and gone'}; run with --record"
    print(f"{name:40} {count:10,} of {recorded:10,} recorded ({count / recorded - 1:+.1%})")
    if count > recorded * (1 + TOLERANCE):
        return f"{name} takes {count / recorded - 1:.1%} more instructions: {count:,} instead of {recorded:,}"
    return None


if __name__ == "__main__":
    sys.exit(main())
