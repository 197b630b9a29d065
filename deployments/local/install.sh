#!/bin/sh
# Installs what the local S3 server and the browser tests need, on Debian as root; elsewhere says
# what is missing and ends well, since everything else works without.
set -eu

missing=
for pair in radosgw:radosgw ceph-mon:ceph-mon ceph-osd:ceph-osd chromium:chromium; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done

if [ -z "$missing" ]; then
    echo "nothing is missing"
elif [ "$(id -u)" -eq 0 ] && [ -f /etc/debian_version ]; then
    apt-get update -q
    # shellcheck disable=SC2086  # one word per package
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
else
    echo "missing:$missing"
    echo "S3 and browser tests will skip; on Debian: sudo apt-get install$missing"
fi
