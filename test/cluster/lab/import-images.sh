#!/bin/sh
# Imports archives of images into a folder of containerd, in a mount and a process namespace of its own.
#   import-images.sh FOLDER PACKAGES ARCHIVE...
set -eu
folder=$1 packages=$2
shift 2
mount -t tmpfs tmpfs /mnt
cat > /mnt/config.toml <<END
version = 2
root = "$folder"
state = "/mnt/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "/mnt/containerd.sock"
END
mount -t overlay -o "lowerdir=$packages/usr:/usr" overlay /usr
containerd -c /mnt/config.toml -l warn > /mnt/log 2>&1 &
daemon=$!
until [ -S /mnt/containerd.sock ]; do
  kill -0 "$daemon" 2> /mnt/gone || { cat /mnt/log >&2; exit 1; }
  sleep 0.02
done
for archive; do
  ctr -a /mnt/containerd.sock -n k8s.io images import "$archive" || { cat /mnt/log >&2; exit 1; }
done
kill "$daemon"
wait "$daemon" || true
