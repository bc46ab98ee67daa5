/** Files of real systems, shortened. */
type Files = Readonly<Record<string, string>>;

const machine: Files = {
  '/proc/meminfo': 'MemTotal:        8000000 kB\nMemFree:          500000 kB\nMemAvailable:    3000000 kB\n',
  '/proc/pressure/memory':
    'some avg10=4.00 avg60=1.00 avg300=0.10 total=28292221\nfull avg10=2.50 avg60=0.50 avg300=0.00 total=6894257\n',
};

const below = (folder: string, files: Files): Files =>
  Object.fromEntries(Object.entries(files).map(([name, text]) => [`${folder}/${name}`, text]));

/** A pod by systemd and containerd, control groups of version 2, seen from the host. */
export const pod: Files = {
  ...machine,
  '/proc/self/cgroup': '0::/kubepods.slice/pod7.slice/runtime.scope\n',
  '/proc/self/mountinfo':
    '24 30 0:22 / /sys rw,nosuid - sysfs sysfs rw\n' +
    '30 24 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n',
  ...below('/sys/fs/cgroup/kubepods.slice', {
    'memory.max': '7000000000\n',
    'memory.high': 'max\n',
    'memory.current': '3000000000\n',
    'memory.stat': 'anon 2900000000\n',
    'memory.pressure':
      'some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n',
    'memory.events': 'low 0\nhigh 0\nmax 0\noom 3\noom_kill 3\noom_group_kill 0\n',
  }),
  ...below('/sys/fs/cgroup/kubepods.slice/pod7.slice', {
    'memory.max': 'max\n',
    'memory.high': 'max\n',
    'memory.current': '1700000000\n',
  }),
  ...below('/sys/fs/cgroup/kubepods.slice/pod7.slice/runtime.scope', {
    'memory.max': '2000000000\n',
    'memory.high': '1800000000\n',
    'memory.current': '1700000000\n',
    'memory.stat':
      'anon 1200000000\nfile 420000000\nkernel 60000000\nshmem 0\nfile_mapped 150000000\ninactive_anon 1000000000\nactive_anon 200000000\ninactive_file 300000000\nactive_file 100000000\nslab_reclaimable 20000000\nslab_unreclaimable 10000000\nworkingset_refault_file 12\n',
    'memory.pressure':
      'some avg10=3.10 avg60=0.60 avg300=0.10 total=99\nfull avg10=1.25 avg60=0.20 avg300=0.00 total=50\n',
    'memory.events': 'low 0\nhigh 17\nmax 2\noom 1\noom_kill 1\noom_group_kill 0\n',
  }),
};

const version1Mounts = (root: string): string =>
  `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n32 31 0:29 ${root} /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n35 31 0:32 ${root} /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n41 31 0:38 ${root} /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n`;

const stat =
  'cache 250000000\nrss 640000000\nmapped_file 1\ninactive_file 1\nactive_file 1\nhierarchical_memory_limit 1073741824\n';

/** A pod of version 1: the limit is that of the pod, the container has none. */
export const podOfVersion1: Files = {
  ...machine,
  '/proc/self/cgroup': '5:cpu,cpuacct:/kubepods/pod7/c\n4:memory:/kubepods/pod7/c\n',
  '/proc/self/mountinfo': version1Mounts('/'),
  ...below('/sys/fs/cgroup/memory/kubepods/pod7', {
    'memory.limit_in_bytes': '1073741824\n',
    'memory.usage_in_bytes': '900000000\n',
    'memory.stat': `${stat}total_mapped_file 30000000\ntotal_inactive_file 200000000\ntotal_active_file 50000000\n`,
    'memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 1\n',
  }),
  ...below('/sys/fs/cgroup/memory/kubepods/pod7/c', {
    'memory.limit_in_bytes': '9223372036854771712\n',
    'memory.usage_in_bytes': '900000000\n',
    'memory.stat': `${stat}total_mapped_file 30000000\n`,
    'memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 2\n',
  }),
};

/** Version 1 with a version 2 beside it that limits nothing. */
export const hybrid: Files = {
  ...machine,
  '/proc/self/cgroup': '9:name=systemd:/\n4:memory:/lab/runtime\n0::/\n',
  '/proc/self/mountinfo': version1Mounts('/'),
  ...below('/sys/fs/cgroup/memory/lab/runtime', {
    'memory.limit_in_bytes': '1073741824\n',
    'memory.usage_in_bytes': '900000000\n',
    'memory.stat': stat,
  }),
  '/sys/fs/cgroup/unified/memory.pressure': 'some avg10=0.00\nfull avg10=0.00\n',
};

/** A container of version 1: the path is that of the host, the mount begins at its own group. */
export const inContainer: Files = {
  ...machine,
  '/proc/self/cgroup': '4:memory:/docker/a b\n',
  '/proc/self/mountinfo': version1Mounts('/docker/a\\040b'),
  ...below('/sys/fs/cgroup/memory', {
    'memory.limit_in_bytes': '536870912\n',
    'memory.usage_in_bytes': '400000000\n',
    'memory.stat': `${stat}total_mapped_file 0\ntotal_inactive_file 100000000\ntotal_active_file 0\n`,
  }),
};
