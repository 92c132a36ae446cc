# Sourced by local.sh. Network namespaces: each node has an address of its own, on a bridge that exists on this machine only, so that no two of them can
# meet on 127.0.0.1, on a port or on a socket by accident.
#
#   here               bridge NAME    10.x.y.1
#   NAME-head          eth0           10.x.y.2
#   NAME-1, NAME-2, …  eth0           10.x.y.3, 10.x.y.4, …
#
# `STATE/netns` holds NAME and 10.x.y. Processes and files are not separated: `stop` finds and removes them as without namespaces.

NETNS="" SUBNET=""

check_netns() { # that we may, before anything is made
  local probe=lor-probe-$$
  command -v ip >/dev/null || refuse "--netns needs the command \`ip\`: apt-get install iproute2"
  ip netns add "$probe" 2>/dev/null || refuse "--netns: network namespaces are not permitted here (they need root with CAP_SYS_ADMIN and CAP_NET_ADMIN)"
  ip netns delete "$probe"
}

make_netns() { # WORKERS
  local node host=2
  NETNS=lor-$(head -c 3 /dev/urandom | od -An -tx1 | tr -d ' \n')
  SUBNET=10.$((RANDOM % 128 + 64)).$((RANDOM % 256))
  [[ -z $(ip route show "$SUBNET.0/24") ]] || refuse "$SUBNET.0/24 is in use on this machine; the next start draws another one"
  echo "$NETNS $SUBNET" >"$STATE/netns"
  ip link add "$NETNS" type bridge
  ip address add "$SUBNET.1/24" dev "$NETNS"
  ip link set "$NETNS" up
  for node in head $(seq "$1"); do
    ip netns add "$NETNS-$node"
    ip link add "$NETNS-$node" type veth peer name eth0 netns "$NETNS-$node"
    ip link set "$NETNS-$node" master "$NETNS" up
    ip -n "$NETNS-$node" link set lo up # Ray's processes of one node talk over it
    ip -n "$NETNS-$node" address add "$SUBNET.$host/24" dev eth0
    ip -n "$NETNS-$node" link set eth0 up
    ip -n "$NETNS-$node" route add default via "$SUBNET.1" # goes nowhere, but Ray asks for the interface of such a route
    host=$((host + 1))
  done
  export GLOO_SOCKET_IFNAME=eth0 # the host name means another namespace
}

remove_netns() { # those of STATE/netns, as far as they were made
  local name namespace
  [[ -f $STATE/netns ]] || return 0
  name=$(cut -d' ' -f1 "$STATE/netns")
  for namespace in $(ip netns list | cut -d' ' -f1 | grep "^$name-"); do
    ip netns delete "$namespace" # its end of the veth pair, and so the pair, goes with it
  done
  [[ ! -e /sys/class/net/$name ]] || ip link delete "$name"
}

address_of() { # NODE: head, worker-1, …
  local number=${1#worker-}
  [[ $1 != head ]] || number=0
  echo "$SUBNET.$((number + 2))"
}
