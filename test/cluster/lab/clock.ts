/** The GNU name of this machine's kind, in the path of Debian's libraries. */
const triplet = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';

/** Where a node says by how many seconds its clock is wrong. */
export const offsetFile = '/run/clock/offset';

/**
 * What a pod needs so that its clock is that of its node ({@link LabNode.shiftClock}): Linux has one clock for all
 * namespaces, so libfaketime shifts it in the container. It works for programs that use glibc; a static Go program, and so
 * the kubelet, keeps the right time. Monotonic clocks are left alone.
 */
export const nodeClock = {
  env: [
    { name: 'LD_PRELOAD', value: '/clock/lib/libfaketimeMT.so.1' },
    { name: 'FAKETIME_TIMESTAMP_FILE', value: '/clock/node/offset' },
    { name: 'FAKETIME_CACHE_DURATION', value: '1' },
    { name: 'FAKETIME_DONT_FAKE_MONOTONIC', value: '1' },
  ],
  volumeMounts: [
    { name: 'clock-library', mountPath: '/clock/lib', readOnly: true },
    { name: 'clock-node', mountPath: '/clock/node', readOnly: true },
  ],
  volumes: [
    { name: 'clock-library', hostPath: { path: `/usr/lib/${triplet}/faketime` } },
    { name: 'clock-node', hostPath: { path: '/run/clock' } },
  ],
} as const;
