#!/usr/bin/env bash
# A Ray cluster on this machine: a head and N worker nodes as plain processes, to try a sweep on "several machines" before there are any.
#
#   cluster/local.sh N           start a head and N workers        (N = 1..16)
#   cluster/local.sh --netns N   the same, each in a network namespace of its own (netns.sh); needs root
#   cluster/local.sh stop        stop what the other forms started, and nothing else
#
# Its state is one directory, which `stop` removes. Its processes are found by a variable in their environment and by their parents, never by
# name, so other Ray clusters on the machine are not touched. Ports are free ones unless the environment gives them.
#
#   LORETTA_CLUSTER_DIR      that directory; short, because Ray puts sockets there   (default /tmp/loretta-cluster-UID)
#   LORETTA_CLUSTER_CPUS     CPUs that each worker offers                            (default: this machine's, shared out, at least 1)
#   LORETTA_CLUSTER_GPUS     GPUs that each worker claims to have, to try placement without any   (default: this machine's, shared out)
#   LORETTA_RAY_PORT         port of the head
#   LORETTA_DASHBOARD_PORT   port of the dashboard and the job API, on 127.0.0.1, or with --netns on the head's address
set -euo pipefail

REPOSITORY=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
STATE=${LORETTA_CLUSTER_DIR:-/tmp/loretta-cluster-$(id -u)}
MOST_WORKERS=16 # each node is about nine processes, before it does anything
OBJECT_STORE_BYTES=150000000
LONGEST_STATE=45 # Ray adds about 60 characters; the kernel takes 107
source "$REPOSITORY/cluster/netns.sh"

usage() {
  echo "usage: cluster/local.sh [--netns] N | stop      N = number of worker nodes, 1 to $MOST_WORKERS"
}

refuse() { # the request is wrong
  echo "error: $*" >&2
  exit 2
}

main() {
  local separate=""
  if [[ ${1-} == --netns && ${2-} != stop ]]; then
    separate=yes
    shift
  fi
  case "${1-}" in
    -h | --help) usage && exit 0 ;;
    "") usage >&2 && exit 2 ;;
  esac
  (($# == 1)) || refuse "expected one argument, got $#: $*. $(usage)"
  [[ -d /proc/self ]] || refuse "this script finds its processes in /proc, which this system does not have; it needs Linux"
  [[ $STATE == /* && $STATE != / ]] || refuse "LORETTA_CLUSTER_DIR=$STATE: expected an absolute path"
  if [[ $1 == stop ]]; then
    stop
  elif [[ $1 =~ ^[1-9][0-9]?$ ]] && (($1 <= MOST_WORKERS)); then
    start "$1" "$separate"
  else
    refuse "'$1' is neither a number of workers (1 to $MOST_WORKERS) nor 'stop'"
  fi
}

start() { # WORKERS, and whether each node gets a network namespace
  local workers=$1 separate=$2 cpus=${LORETTA_CLUSTER_CPUS:-} dashboard=127.0.0.1 ports ray address
  local -a gpus
  ray=$(find_ray)
  PATH=$(dirname -- "$ray"):$PATH # jobs say `python` and mean the one that has Ray
  cpus=${cpus:-$(($(nproc) / workers > 0 ? $(nproc) / workers : 1))}
  [[ $cpus =~ ^[1-9][0-9]{0,3}$ ]] || refuse "LORETTA_CLUSTER_CPUS=$cpus: expected a whole number of CPUs, at least 1"
  ((${#STATE} <= LONGEST_STATE)) || refuse "LORETTA_CLUSTER_DIR=$STATE is too long for Ray's sockets: ${#STATE} characters of at most $LONGEST_STATE"
  read -ra ports <<<"$(free_ports $((workers + 4)))"
  ports[0]=$(given_port LORETTA_RAY_PORT "${ports[0]}")
  ports[1]=$(given_port LORETTA_DASHBOARD_PORT "${ports[1]}")
  [[ -z ${LORETTA_CLUSTER_GPUS:-} || $LORETTA_CLUSTER_GPUS =~ ^[0-9]{1,2}$ ]] || refuse "LORETTA_CLUSTER_GPUS=$LORETTA_CLUSTER_GPUS: expected a whole number of GPUs"
  [[ -z $separate ]] || check_netns
  make_state
  trap 'echo "could not start; cleaning up" >&2; stop >&2' EXIT

  export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$STATE/token RAY_USAGE_STATS_ENABLED=0
  unset RAY_AUTH_TOKEN RAY_ADDRESS RAY_API_SERVER_ADDRESS
  if [[ -n $separate ]]; then
    make_netns "$workers"
    dashboard=$(address_of head)
  fi
  # The head computes nothing, as on a real cluster.
  node head "$ray" start --head --port="${ports[0]}" --dashboard-host="$dashboard" --dashboard-port="${ports[1]}" \
    --ray-client-server-port="${ports[2]}" --dashboard-agent-listen-port="${ports[3]}" --num-cpus=0 --num-gpus=0 --temp-dir="$STATE/head"
  address=$(cat "$STATE/head/ray_current_cluster")
  # Each node has a directory of its own. In a common one, a node that needs the files of a job no longer removes them for
  # all, and the job dies in its vanished working directory (torch: "oneMKL FATAL ERROR: Cannot load libtorch_cpu.so").
  for ((worker = 0; worker < workers; worker++)); do
    read -ra gpus <<<"$(gpus_of "$worker" "$workers")"
    CUDA_VISIBLE_DEVICES=$(IFS=, && echo "${gpus[*]-}") node "worker-$((worker + 1))" "$ray" start --address="$address" \
      --dashboard-agent-listen-port="${ports[worker + 4]}" --num-cpus="$cpus" --num-gpus="${#gpus[@]}" --temp-dir="$STATE/worker-$((worker + 1))"
  done
  trap - EXIT
  write_environment "$address" "$dashboard:${ports[1]}"
  explain "$workers" "$cpus" "$dashboard:${ports[1]}"
}

find_ray() {
  local ray=$REPOSITORY/.venv/bin/ray
  [[ -x $ray ]] || ray=$(command -v ray) || refuse "no Ray: run \`make install\` in $REPOSITORY, or activate an environment that has it"
  echo "$ray"
}

given_port() { # NAME OF VARIABLE, DEFAULT
  local port=${!1:-$2}
  if ! [[ $port =~ ^[1-9][0-9]{0,4}$ ]] || ((port > 65535)); then
    refuse "$1=$port: expected a port, 1 to 65535"
  fi
  ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || refuse "$1=$port: another process listens there"
  echo "$port"
}

free_ports() { # all at once, so that they differ
  python3 - "$1" <<'PYTHON'
import socket, sys

sockets = [socket.create_server(("", 0)) for _ in range(int(sys.argv[1]))]
print(*(each.getsockname()[1] for each in sockets))
PYTHON
}

make_state() { # a directory of ours alone; refuses one that exists, whoever made it
  [[ ! -e $STATE ]] || refuse "$STATE exists: a cluster of this script runs, or ran (\`cluster/local.sh stop\` stops it and removes the" \
    "directory). For a second cluster give another directory in LORETTA_CLUSTER_DIR"
  mkdir -m 700 -- "$STATE" || refuse "cannot create $STATE"
  (
    umask 077
    mark=loretta-$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
    echo "$mark" >"$STATE/mark"
    head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$STATE/token"
  )
}

node() { # NAME COMMAND...: start one node, with the mark in its environment. Worker ports 0: any free ones, so that no range collides with another cluster.
  local name=$1 log=$STATE/$1.log
  local -a place=() own=()
  if [[ -n $NETNS ]]; then
    place=(ip netns exec "$NETNS-${name#worker-}")
    own=(--node-ip-address="$(address_of "$name")")
  fi
  shift
  echo "starting $name" >&2
  LORETTA_CLUSTER_MARK=$(cat "$STATE/mark") "${place[@]}" "$@" "${own[@]}" --object-store-memory="$OBJECT_STORE_BYTES" --min-worker-port=0 --max-worker-port=0 \
    --disable-usage-stats --log-style=record </dev/null >"$log" 2>&1 || {
    tail -n 15 "$log" >&2
    echo "error: $name did not start" >&2
    exit 1
  }
}

gpus_of() { # WORKER WORKERS: every GPU belongs to one worker; without this each of them would offer all
  local visible=${CUDA_VISIBLE_DEVICES-} index=0 gpu
  if [[ -n ${LORETTA_CLUSTER_GPUS:-} ]]; then
    seq -s' ' 0 $((LORETTA_CLUSTER_GPUS - 1))
    return
  fi
  [[ -v CUDA_VISIBLE_DEVICES ]] || visible=$(nvidia-smi --query-gpu=index --format=csv,noheader 2>/dev/null | paste -sd,) || visible=
  for gpu in ${visible//,/ }; do
    ((index++ % $2 != $1)) || echo -n "$gpu "
  done
}

write_environment() { # ADDRESS, DASHBOARD (HOST:PORT)
  cat >"$STATE/env" <<END
export RAY_ADDRESS=$1
export RAY_API_SERVER_ADDRESS=http://$2
export RAY_AUTH_MODE=token
export RAY_AUTH_TOKEN_PATH=$STATE/token
END
  # RAY_ADDRESS is for drivers inside the head's namespace; jobs are submitted from outside.
  [[ -z $NETNS ]] || echo "export LORETTA_CLUSTER_NETNS=$NETNS" >>"$STATE/env"
}

explain() { # WORKERS, CPUS, DASHBOARD (HOST:PORT)
  cat <<END
A head and $1 worker(s) with $2 CPU each run on this machine.

$(cat "$STATE/env")

In another shell:      source $STATE/env
Submit a sweep:        ray job submit --working-dir . -- python -m jobs.sweep jobs/sweeps/quickstart.toml --out "\$PWD/outputs"
Look at it:            http://$3   (asks for the token: cat $STATE/token)
Stop the cluster:      cluster/local.sh stop
END
}

stop() {
  [[ -e $STATE ]] || {
    echo "nothing to stop: $STATE does not exist"
    return
  }
  [[ -d $STATE && ! -L $STATE && -O $STATE && -f $STATE/mark ]] || refuse "$STATE was not made by this script for this user; it is left as it is"
  local pids="" tries=0
  while pids=$(our_processes "$pids") && [[ -n $pids ]] && ((tries < 100)); do
    # SIGTERM, and SIGKILL 3 s later. A process may end between being found and being signalled.
    ((tries % 15)) || xargs kill -s "$( ((tries == 0)) && echo TERM || echo KILL)" <<<"$pids" 2>/dev/null || true
    tries=$((tries + 1))
    sleep 0.2
  done
  [[ -z $pids ]] || {
    echo "error: these processes do not end: $pids" >&2
    exit 1
  }
  remove_netns
  rm -rf -- "$STATE"
  echo "stopped"
}

our_processes() { # KNOWN PIDS: those, the ones with the mark, and their descendants, as far as they live. A Ray worker writes its title over its
  # environment, so it is found as a child of its raylet, and remembered in case that ends first.
  local marked
  marked="${1-} $(grep -lzsxF "LORETTA_CLUSTER_MARK=$(cat "$STATE/mark")" /proc/[0-9]*/environ | cut -d/ -f3 | paste -sd' ')" || true
  # Processes end while they are read: grep's complaint about that is no failure.
  { grep -sHE '^(State|PPid):' /proc/[0-9]*/status || true; } | awk -F '[/:\t ]+' -v marked="$marked" '
    BEGIN { split(marked, list, " "); for (i in list) ours[list[i]] = 1 }
    $5 == "State" { zombie[$3] = $6 == "Z" }
    $5 == "PPid" && !zombie[$3] { parent[$3] = $6 }
    END {
      do { grew = 0; for (pid in parent) if (!(pid in ours) && (parent[pid] in ours)) { ours[pid] = 1; grew = 1 } } while (grew)
      for (pid in ours) if (pid in parent) printf "%s ", pid
    }'
}

main "$@"
