# Makes four network namespaces in a row, h1 - r1 - r2 - h2, and runs its arguments in the first.
# To be run as `unshare -Urn bash chain.sh COMMAND…`: no rights are needed where users may make namespaces.
set -eu
# The namespace this runs in is h1; the others are held by a sleeping process each.
space() { unshare -n sleep 300 & eval "$1=$!"; until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep 0.01; done; }
trap 'kill $r1 $r2 $h2' EXIT
space r1; space r2; space h2
inside() { where=$1; shift; nsenter -t "$where" -n "$@"; }
ip link add name to_a type veth peer name to_b netns "$r1"
inside "$r1" ip link add name to_c type veth peer name to_d netns "$r2"
inside "$r2" ip link add name to_e type veth peer name to_f netns "$h2"
up() { # namespace device ipv4 ipv6
  inside "$1" sh -c "echo 0 > /proc/sys/net/ipv6/conf/$2/accept_dad; ip address add $3/24 dev $2; ip -6 address add $4/64 dev $2 nodad; ip link set $2 up; ip link set lo up"
}
up $$ to_a 10.77.1.1 fd77:1::1; up "$r1" to_b 10.77.1.2 fd77:1::2
up "$r1" to_c 10.77.2.1 fd77:2::1; up "$r2" to_d 10.77.2.2 fd77:2::2
up "$r2" to_e 10.77.3.1 fd77:3::1; up "$h2" to_f 10.77.3.2 fd77:3::2
for router in "$r1" "$r2"; do
  inside "$router" sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding'
done
for host in "$r1" "$r2" "$h2"; do
  inside "$host" sh -c 'echo 0 > /proc/sys/net/ipv4/icmp_ratelimit; echo 0 > /proc/sys/net/ipv6/icmp/ratelimit'
done
ip route add default via 10.77.1.2; ip -6 route add default via fd77:1::2
inside "$r1" ip route add 10.77.3.0/24 via 10.77.2.2; inside "$r1" ip -6 route add fd77:3::/64 via fd77:2::2
inside "$r2" ip route add 10.77.1.0/24 via 10.77.2.1; inside "$r2" ip -6 route add fd77:1::/64 via fd77:2::1
inside "$h2" ip route add default via 10.77.3.1; inside "$h2" ip -6 route add default via fd77:3::1
# The middle link takes less than the others.
inside "$r1" ip link set to_c mtu 1400; inside "$r2" ip link set to_d mtu 1400
"$@"
