import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { flagsFor } from './small-heap.ts';

it('the room for young objects grows to its bound, stays there, and shrinks above it', () => {
  expect(flagsFor(2 << 20)).toEqual(['--semi-space-growth-factor=2', '--no-memory-saver-mode']);
  expect(flagsFor(4 << 20)).toEqual(['--semi-space-growth-factor=1', '--no-memory-saver-mode']);
  expect(flagsFor(16 << 20)).toEqual(['--semi-space-growth-factor=1', '--memory-saver-mode']);
});

/** Objects that live for a while, as those of requests do; prints MiB of V8's room for young ones, the most and that at the end. */
const turns = (begin: string): string => `
${begin}
import { getHeapSpaceStatistics } from 'node:v8';
const room = () => getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size / 1048576;
const alive = [];
let most = 0;
for (let turn = 0; turn < 300; turn += 1) {
  for (let n = 0; n < 4000; n += 1) {
    alive.push({ turn, n, text: 'x' + n });
    if (alive.length > 12000) alive.splice(0, 4000);
  }
  await new Promise((resolve) => setImmediate(resolve));
  if (turn > 100) most = Math.max(most, room());
}
console.log(JSON.stringify(most));
`;

const printed = (program: string): number =>
  Number(execFileSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' }));
const keep = `import { keepHeapSmall } from ${JSON.stringify(import.meta.resolve('./small-heap.ts'))}; keepHeapSmall();`;

/**
 * The same in a thread, in one turn, and the median: V8 goes over its bound for some collections (to 30 MiB) where its helpers wait for a
 * core.
 */
const thread = (begin: string): string => `
${begin}
import { Worker } from 'node:worker_threads';
const work = \`
import { getHeapSpaceStatistics } from 'node:v8';
import { parentPort } from 'node:worker_threads';
const alive = [];
const rooms = [];
for (let turn = 0; turn < 400; turn += 1) {
  for (let n = 0; n < 4000; n += 1) {
    alive.push({ turn, n, text: 'x' + n });
    if (alive.length > 60000) alive.splice(0, 20000);
  }
  rooms.push(getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size / 1048576);
}
parentPort.postMessage(rooms.sort((a, b) => a - b)[rooms.length / 2]);
\`;
new Worker(work, { eval: true }).on('message', (median) => console.log(JSON.stringify(median)));
`;

it('V8 keeps to it', () => {
  expect(printed(turns(''))).toBeGreaterThan(8);
  expect(printed(turns(keep))).toBeLessThanOrEqual(8);
});

it('so do threads, from their begin', () => {
  expect(printed(thread(''))).toBeGreaterThan(8);
  expect(printed(thread(keep))).toBeLessThan(6);
});
