#!/bin/sh
# Runs a command with its secrets in files that only its user can read, and nothing of them in the environment:
#
#   with-secrets.sh loretta serve …      /run/secrets/* → /tmp/loretta-secrets/* (mode 0600, in a directory of mode 0700)
#
# Docker and Kubernetes mount secrets readable by a group or by everybody; PostgreSQL ignores such a password file, and `loretta serve` refuses such a token.
# The rest of the environment names the copies (PGPASSFILE, RAY_AUTH_TOKEN_PATH, …). LORETTA_SECRETS and LORETTA_PRIVATE name other directories.
set -eu
umask 077
private=${LORETTA_PRIVATE:-/tmp/loretta-secrets}
mkdir -p "$private"
chmod 700 "$private" # fails when it is somebody else's
for file in "${LORETTA_SECRETS:-/run/secrets}"/*; do
  [ ! -f "$file" ] || cat "$file" >"$private/${file##*/}"
done
exec "$@"
