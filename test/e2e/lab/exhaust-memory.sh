# Takes, for a moment, a little more memory than the limit of a container leaves: the kernel kills the named process of it.
# Its pod has to be of the class Guaranteed, whose processes the kernel spares; the named one is not spared any more.
# Arguments: pid of a process of the container; pid of the process to kill.
set -eu
v1=$(sed -n 's/^[0-9]*:memory://p' "/proc/$1/cgroup")
if [ -n "$v1" ]; then
  cd "/sys/fs/cgroup/memory$v1"
  limit=$(cat memory.limit_in_bytes)
  used=$(sed -n 's/^total_rss //p' memory.stat)
else
  cd "/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$1/cgroup")"
  limit=$(cat memory.max)
  used=$(sed -n 's/^anon //p' memory.stat)
fi
echo 1000 > "/proc/$2/oom_score_adj"
echo $$ > cgroup.procs
# Without a line break tail keeps everything until the end, and then ends.
head -c $((limit - used + 20971520)) /dev/zero | tail > /dev/null
