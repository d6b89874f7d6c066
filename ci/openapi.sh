#!/usr/bin/env bash
# Holds the OpenAPI document against a validator, and the running binary against the document.
# usage: ci/openapi.sh [BINARY]; needs openapi-spec-validator, and schemathesis for the second half.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
binary=$(realpath "${1:-target/release/ellie}")
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

"$binary" openapi >"$work/openapi.json"
python3 -m openapi_spec_validator "$work/openapi.json"

if ! command -v schemathesis >/dev/null; then
  echo "schemathesis is not installed (pip install schemathesis): the answers were not held against the document"
  exit 0
fi

token=token-of-the-openapi-check-0123456789
ELLIE_AUTH__OPERATOR_TOKEN=$token "$binary" serve --ephemeral --log-format json --log-level error \
  --api-listen 127.0.0.1:0 --gateway-listen 127.0.0.1:0 --dashboard-listen 127.0.0.1:0 >"$work/log" 2>&1 &
server=$!
until grep -q '"message":"ready"' "$work/log"; do
  kill -0 "$server" || { cat "$work/log"; exit 1; }
  read -rt 0.1 <> <(:) || true
done
api=$(sed -n 's/.*"api":"\([^"]*\)".*/\1/p' "$work/log" | head -n 1)

conforms=status_code_conformance,content_type_conformance,response_schema_conformance
# In a folder of its own, as it leaves notes where it runs.
requests() (
  cd "$work" && schemathesis run openapi.json --url "http://$api" --header "Authorization: Bearer $token" \
    --max-examples 10 --seed 1 --workers 1 --no-color "$@"
)
# Streams never end by themselves, so they are left out. That nothing can be sent traffic is a 503 and no fault.
requests --exclude-path /events --exclude-path /services/watch --exclude-path '/services/{name}/resolve' \
  --checks "not_a_server_error,$conforms"
requests --include-path '/services/{name}/resolve' --checks "$conforms"
kill -0 "$server"
