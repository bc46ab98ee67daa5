import type { Probe } from '../probe.ts';
import { digests } from './digests.ts';
import { guess } from './guess.ts';
import { reach } from './reach.ts';
import { read } from './read.ts';
import { fill, starve } from './share.ts';
import { time } from './time.ts';
import { write } from './write.ts';

/** What tenants try on a node. What lying runtimes and hostile objects try is in test/integration/operator. */
export const probes: readonly Probe[] = [
  ...reach,
  ...digests,
  ...read,
  ...write,
  ...guess,
  ...time,
  ...starve,
  ...fill,
];
