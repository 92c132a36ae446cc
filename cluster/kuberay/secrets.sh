#!/usr/bin/env bash
# The namespace and its Secrets, from random files that stay in cluster/secrets (mode 0700): `cluster/kuberay/secrets.sh`. A second call changes nothing.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
python=.venv/bin/python
[[ -x $python ]] || python=python3
"$python" cluster/make_secrets.py cluster/secrets
kubectl apply -f cluster/kuberay/clusterwide/namespace.yaml
kubectl -n loretta create secret generic loretta --from-file=cluster/secrets --dry-run=client -o yaml | kubectl apply -f -
# Under the key that KubeRay reads.
kubectl -n loretta create secret generic loretta-ray --from-file=auth_token=cluster/secrets/ray_token --dry-run=client -o yaml | kubectl apply -f -
