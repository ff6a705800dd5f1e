"""Makes cargo-cyclonedx's bill of materials say what the binary is made of, and the same each time.

`sbom.py IN OUT`: leaves out what the lock file has and no build links (optional parts of dependencies that are
switched off), and what differs between two runs (a time, a number by chance, this machine's folders). Fails
where something that is linked has no entry, no hash or no licence. `make sbom` runs it.
"""

import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent


def linked():
    """What `cargo tree` says is linked, as (name, version)."""
    command = ["cargo", "tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}",
               "--target", "x86_64-unknown-linux-gnu"]
    text = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    return {tuple(line.split()[:2]) for line in text.splitlines() if line.strip()}


def without_place(text):
    return re.sub(r"path\+file://[^#\"]*#", "path+file:///scopegate#", text)


def main():
    source, target = map(pathlib.Path, sys.argv[1:])
    bill = json.loads(without_place(source.read_text()))
    for changing in ("serialNumber", "timestamp"):
        bill.pop(changing, None)
        bill["metadata"].pop(changing, None)
    kept = {(name, version.removeprefix("v")) for name, version in linked()}
    own = bill["metadata"]["component"]
    bill["components"] = [part for part in bill["components"] if (part["name"], part["version"]) in kept]
    found = {(part["name"], part["version"]) for part in bill["components"]} | {(own["name"], own["version"])}
    references = {part["bom-ref"] for part in bill["components"]} | {own["bom-ref"]}
    bill["dependencies"] = [
        {**entry, "dependsOn": [on for on in entry.get("dependsOn", []) if on in references]}
        for entry in bill["dependencies"] if entry["ref"] in references
    ]
    missing = sorted(kept - found)
    bare = sorted(part["name"] for part in bill["components"] if not (part.get("hashes") and part.get("licenses")))
    if missing or bare:
        sys.exit(f"no entry: {missing}; no hash or licence: {bare}")
    target.write_text(json.dumps(bill, indent=1, sort_keys=True) + "\n")
    print(f"{target}: {len(bill['components'])} parts, each with its hash and licence")


if __name__ == "__main__":
    main()
