import { createEvictionPolicy } from '../../../src/runtime/residency/eviction-policies.ts';
import { beladyCache } from './belady.ts';
import { gdsfCache } from './gdsf.ts';
import { lruCache } from './lru.ts';
import { runtimeCache } from './runtime-policy.ts';
import { s3fifoCache } from './s3fifo.ts';
import type { CacheMaker } from './simulate.ts';
import { wtinylfuCache } from './wtinylfu.ts';

/** What is compared; the first is the runtime's. */
export const policies: Readonly<Record<string, CacheMaker>> = {
  hit_density: runtimeCache(() => createEvictionPolicy('hit-density')),
  lru: lruCache,
  s3fifo: s3fifoCache,
  wtinylfu: wtinylfuCache,
  gdsf: gdsfCache,
  belady: beladyCache,
};
