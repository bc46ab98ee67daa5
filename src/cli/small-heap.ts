import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/** MiB for each half of the young objects. With less, what a request needs until it is answered outlives its place among them. */
const halfMib = 2;
const youngBytes = (2 * halfMib) << 20;

/** What V8 may do with the room of young objects, by the bytes that it has now: grow, stay, shrink. */
export const flagsFor = (bytes: number): readonly string[] => [
  `--semi-space-growth-factor=${bytes < youngBytes ? 2 : 1}`,
  bytes > youngBytes ? '--memory-saver-mode' : '--no-memory-saver-mode',
];

const youngRoom = (): number =>
  getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')?.space_size ?? 0;

/**
 * How much old objects grow between two collections, by default several times what lives. Read at each collection, so that it works in a process
 * that runs; Node takes it on its command line alone.
 */
export const growOldBy = (percent: number): void => setFlagsFromString(`--heap-growing-percent=${percent}`);

/**
 * For the process of a node that takes requests. It holds some 20 MiB of objects, but V8 grows its heap by far more than that
 * where a machine has memory (docs/adr/0048). Threads of this process follow; the engine process is another one.
 *
 * The old ones grow by 15 % between two collections. The room for young ones has a bound, which V8 takes on its command line alone:
 * behind each collection, at the end of its turn, we look how large it is. V8 shrinks it where little is asked for.
 */
export const keepHeapSmall = (): void => {
  growOldBy(15);
  // The heap that is there does not read it any more. Those of threads do, as they begin.
  setFlagsFromString(`--max-semi-space-size=${halfMib}`);
  let before = '';
  const look = (): void => {
    const flags = flagsFor(youngRoom());
    const now = flags.join(' ');
    if (now === before) return;
    before = now;
    for (const flag of flags) setFlagsFromString(flag);
  };
  look();
  new PerformanceObserver(look).observe({ entryTypes: ['gc'] });
};
