import type { FindingId } from '../catalogue.ts';
import type { Level } from '../finding.ts';
import type { ClusterFacts } from './facts.ts';

/** What is wrong, as facts in place of healthy ones, and the finding that must come of it. */
export type Fault = readonly [fault: string, Partial<ClusterFacts>, FindingId, Level, RegExp];
