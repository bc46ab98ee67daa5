import type { About, ClusterProbe, Place, Probe } from '../probe.ts';
import { egress, fillCluster, lie, reachCluster, readCluster, writeCluster } from './cluster.ts';
import { digests } from './digests.ts';
import { guess } from './guess.ts';
import { reach } from './reach.ts';
import { read } from './read.ts';
import { sessions } from './sessions.ts';
import { fill, starve } from './share.ts';
import { time } from './time.ts';
import { write } from './write.ts';

const client: readonly Probe[] = [
  ...reach,
  ...sessions,
  ...digests,
  ...read,
  ...write,
  ...guess,
  ...time,
  ...starve,
  ...fill,
];

/** What clients try at a place. */
export const clientProbes = (place: Place): readonly Probe[] =>
  client.filter(({ on }) => on === undefined || on.includes(place));

/** What editors of a namespace and their pods try in a cluster. */
export const clusterProbes: readonly ClusterProbe[] = [
  ...reachCluster,
  ...readCluster,
  ...writeCluster,
  ...fillCluster,
  ...lie,
  ...egress,
];

/** All of them, with where they are tried. What lying runtimes and hostile objects try is in test/integration/operator. */
export const allProbes: readonly (About & { readonly places: readonly Place[] })[] = [
  ...client.map((probe) => ({ ...probe, places: probe.on ?? (['node', 'lab'] as const) })),
  ...clusterProbes.map((probe) => ({ ...probe, places: ['lab'] as const })),
];
