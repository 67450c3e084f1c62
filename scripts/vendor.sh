#!/bin/sh
# Fetches the dashboard's libraries as published, checks them against scripts/vendor.lock and puts the files that are
# needed into crates/web/dashboard/vendor. Needs npm; a build does not.
set -eu

LOCK=scripts/vendor.lock
TO=crates/web/dashboard/vendor

say() { printf 'vendor: %s\n' "$*" >&2; }
command -v npm >/dev/null 2>&1 || { say "npm is missing; install it: apt-get install npm"; exit 69; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/kept"

sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$LOCK" >"$work/lock"
while read -r package version sum files; do
    rm -rf "$work/package" && mkdir "$work/package"
    file=$(cd "$work/package" && npm pack --silent "$package@$version")
    found=$(sha256sum "$work/package/$file" | cut -d' ' -f1)
    if [ "$found" != "$sum" ]; then
        say "$package $version has the SHA-256 $found, not $sum as $LOCK says; nothing was changed"
        exit 65
    fi
    tar -xzf "$work/package/$file" -C "$work/package"
    for pair in $files; do
        cp "$work/package/package/${pair%%=*}" "$work/kept/${pair#*=}"
    done
done <"$work/lock"

mkdir -p "$TO"
find "$TO" -type f ! -name README.md -delete
cp "$work/kept/"* "$TO/"
chmod 644 "$TO/"*
say "$(ls "$work/kept" | wc -l) files in $TO"
