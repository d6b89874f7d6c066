#!/usr/bin/env bash
# The dashboard's front end: types, unit tests, that the committed output is the sources', and a real browser against
# the binary. `ci/ui.sh BINARY`. Without npm or Chromium it says what it leaves out; in CI that is a failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
binary=$(realpath "${1:-target/release/ellie}")
out=crates/ellie-server/ui-dist

missing() {
  if [ -n "${CI:-}" ]; then
    echo "ui: $1 is missing, and CI needs it" >&2
    exit 1
  fi
  echo "ui: skipped, $1 is missing"
  exit 0
}
command -v npm >/dev/null || missing "npm (Node.js 20.19 or later)"
node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
  missing "Node.js 20.19 or later (this is $(node --version))"

cd ui
npm ci --no-audit --no-fund --silent
npm run --silent check
npm run --silent unit

# Built anew beside the committed output; the compressed copies may differ between compressors, their content may not.
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
cp -R "../$out/." "$before/"
npm run --silent build
if ! diff -r --brief --exclude='*.br' --exclude='*.gz' "$before" "../$out"; then
  echo "ui: $out is not what ui/ builds: run \`npm run build\` in ui/ and commit it" >&2
  exit 1
fi
for copy in "$before"/*.gz "$before"/assets/*.gz; do
  if ! cmp -s <(gzip -dc "$copy") "${copy%.gz}"; then
    echo "ui: ${copy#"$before"/} is not ${copy%.gz} compressed" >&2
    exit 1
  fi
done
rm -rf "../$out"
mkdir -p "../$out"
cp -R "$before/." "../$out/"

command -v "${CHROMIUM:-chromium}" >/dev/null || missing "Chromium (apt-get install chromium)"
[ -x "$binary" ] || missing "the binary $binary"
# What hangs is ended; every wait inside has a limit of its own that is far below.
ELLIE_BIN=$binary timeout --kill-after=10 900 npm run --silent browser
