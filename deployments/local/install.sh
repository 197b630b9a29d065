#!/bin/sh
# Installs what the local PostgreSQL, S3 and Redis servers and the browser tests need, on Debian as root;
# elsewhere says what is missing and ends well, since everything else works without.
set -eu

missing=
for pair in radosgw:radosgw ceph-mon:ceph-mon ceph-osd:ceph-osd redis-server:redis-server chromium:chromium; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done

# Debian keeps PostgreSQL's programs out of PATH, in a folder for each major version.
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1 ||
    missing="$missing postgresql"

if [ -z "$missing" ]; then
    echo "nothing is missing"
elif [ "$(id -u)" -eq 0 ] && [ -f /etc/debian_version ]; then
    apt-get update -q
    # shellcheck disable=SC2086  # one word per package
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
else
    echo "missing:$missing"
    echo "tests on real servers and in a browser will skip; on Debian: sudo apt-get install$missing"
fi
