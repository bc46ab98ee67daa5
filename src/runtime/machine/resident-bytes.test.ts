import { expect, it } from 'vitest';
import { residentBytesOf } from './resident-bytes.ts';

it('the RAM of a process is what the kernel says, and not known of none', () => {
  const read = (path: string) =>
    path === '/proc/7/status' ? 'Name:\tnode\nVmPeak:\t  900 kB\nVmRSS:\t  300 kB\n' : undefined;
  expect([7, 8, undefined].map((pid) => residentBytesOf(pid, read))).toEqual([
    300 * 1024,
    undefined,
    undefined,
  ]);
});
