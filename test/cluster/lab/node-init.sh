#!/bin/sh
# The first process of a lab's node, in namespaces of its own (node.ts). It makes them a machine and keeps the node's
# programs running. Of the test machine the node sees the files, but /run, /var, /etc, /opt and /sys are its own.
#   node-init.sh DISK PROGRAMS PACKAGES NAME ADDRESS INDEX NODES CONTROL_GROUPS
set -eu
disk=$1 programs=$2 packages=$3 name=$4 address=$5 index=$6 nodes=$7 groups=$8

# Under names that stay, whatever is laid over the folders above them.
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/disk /run/programs /run/netns /run/containerd /run/lock /run/udev /run/stopped /run/bin /run/clock
echo +0s > /run/clock/offset
mount --bind "$disk" /run/disk
mount --bind "$programs" /run/programs

mount -t overlay -o "lowerdir=$packages/usr:/usr" overlay /usr
for folder in etc opt; do
  mkdir -p "/run/disk/over/$folder" "/run/disk/over/$folder.work"
  options="lowerdir=/$folder,upperdir=/run/disk/over/$folder,workdir=/run/disk/over/$folder.work"
  mount -t overlay -o "$options" overlay "/$folder"
done
mkdir -p /run/disk/var/lib/kubelet /run/disk/var/log/pods /run/disk/var/tmp /run/disk/var/cache
ln -sfn /run /run/disk/var/run
mount --bind /run/disk/var /var
# What update-alternatives does where the package is installed.
for each in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
  ln -s /usr/sbin/xtables-nft-multi "/run/bin/$each"
done
export PATH="/run/programs:/run/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

mkdir -p /etc/cni/net.d /etc/kubernetes /etc/containerd
mount --bind /run/disk/cni /etc/cni/net.d
mount --bind /run/disk/kubernetes /etc/kubernetes
mount --bind /run/disk/containerd /etc/containerd
rm -f /etc/resolv.conf /etc/hosts /etc/machine-id
cp /run/disk/resolv.conf /run/disk/hosts /etc/
[ -s /run/disk/machine-id ] || tr -d - < /proc/sys/kernel/random/uuid > /run/disk/machine-id
cp /run/disk/machine-id /etc/machine-id

mount -t sysfs sysfs /sys
if [ "$groups" = v2 ]; then
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  # A group whose children have controllers holds no process itself.
  mkdir -p /sys/fs/cgroup/init
  for pid in $(cat /sys/fs/cgroup/cgroup.procs); do echo "$pid" > /sys/fs/cgroup/init/cgroup.procs; done
  for each in $(cat /sys/fs/cgroup/cgroup.controllers); do echo "+$each" > /sys/fs/cgroup/cgroup.subtree_control; done
else
  mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
  for each in $groups; do # folder=options
    mkdir -p "/sys/fs/cgroup/${each%%=*}"
    mount -t cgroup -o "${each#*=}" cgroup "/sys/fs/cgroup/${each%%=*}"
    for controller in $(echo "${each%%=*}" | tr , ' '); do
      [ -e "/sys/fs/cgroup/$controller" ] || ln -s "${each%%=*}" "/sys/fs/cgroup/$controller"
    done
  done
fi

# Settings of the kernel that the kubelet writes are those of the whole machine: here it writes files.
mkdir -p /run/settings
for each in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1; do
  file=/run/settings/$(echo "${each%%=*}" | tr / _)
  echo "${each#*=}" > "$file"
  mount --bind "$file" "/proc/sys/${each%%=*}"
done
# A node that boots again is known by this.
cat /proc/sys/kernel/random/uuid > /run/settings/boot_id
mount --bind /run/settings/boot_id /proc/sys/kernel/random/boot_id
mount --make-rshared /

hostname "$name"
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
until ip link show eth0 > /run/eth0 2>&1; do sleep 0.02; done
ip addr add "$address/24" dev eth0
ip link set eth0 up
ip route add default via 10.250.0.1
other=0
while [ "$other" -lt "$nodes" ]; do
  other=$((other + 1))
  [ "$other" = "$index" ] || ip route add "10.244.$other.0/24" via "10.250.0.$((10 + other))"
done

# keep NAME COMMAND...: runs it again whenever it ends, unless a test wants it stopped. Its process id is in /run/NAME.pid.
keep() {
  kept=$1
  shift
  while :; do
    while [ -e "/run/stopped/$kept" ]; do sleep 0.1; done
    "$@" >> "/var/log/$kept.log" 2>&1 &
    echo $! > "/run/$kept.pid"
    wait $! || true
    echo "$kept ended" >> /var/log/init.log
    sleep 0.2
  done
}

keep containerd containerd -c /etc/containerd/config.toml -l warn &
until [ -S /run/containerd/containerd.sock ]; do sleep 0.02; done
until [ -e /run/disk/go ]; do sleep 0.05; done
keep kubelet kubelet --config=/etc/kubernetes/kubelet.yaml --kubeconfig=/etc/kubernetes/node.kubeconfig \
  --hostname-override="$name" --node-ip="$address" --root-dir=/var/lib/kubelet --v=1 &
keep kube-proxy kube-proxy --config=/etc/kubernetes/kube-proxy.yaml &
# Also takes leave of orphans.
while :; do wait; sleep 1; done
