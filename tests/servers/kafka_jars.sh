#!/usr/bin/env bash
# Resolves Apache Kafka from Maven Central into a folder, where tests/servers/kafka.py
# looks for it; once, and again where kafka.xml has changed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${PICHANNELS_KAFKA_JARS:-${XDG_CACHE_HOME:-$HOME/.cache}/pichannels/kafka}
if cmp -s "$here/kafka.xml" "$folder/kafka.xml"; then
  exit 0
fi
for program in java mvn; do
  command -v "$program" >/dev/null || { echo "$program is not installed" >&2; exit 1; }
done
rm -rf "$folder"
mkdir -p "$folder"
mvn --quiet --batch-mode --file "$here/kafka.xml" dependency:copy-dependencies \
  -DincludeScope=runtime -DoutputDirectory="$folder"
# Last, as it tells that all is there.
cp "$here/kafka.xml" "$folder/kafka.xml"
