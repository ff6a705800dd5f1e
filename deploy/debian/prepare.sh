#!/bin/sh
# What the package has beside the binary, made by the binary: `prepare.sh BINARY` writes it to target/deb.
set -e
cd "$(dirname "$0")/../.."
binary=$1
rm -rf target/deb && mkdir -p target/deb
"$binary" man target/deb/man >/dev/null
gzip -9n target/deb/man/*.1
"$binary" completions bash > target/deb/scopegate.bash
"$binary" completions zsh > target/deb/_scopegate
"$binary" completions fish > target/deb/scopegate.fish
gzip -9nc CHANGELOG.md > target/deb/changelog.gz
# Packages install to /usr/bin, people to /usr/local/bin.
for unit in service socket; do
	sed -e 's:/usr/local/bin:/usr/bin:' -e '/^# cp /d' "deploy/systemd/scopegate.$unit" > "target/deb/scopegate.$unit"
done
