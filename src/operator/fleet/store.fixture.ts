import { digestSchema, type ObjectKey, objectKey } from '../../api/names.ts';
import { anAdapterState } from '../testing/fake-fleet.ts';
import type { Change, Update } from './update.ts';

export const digest = digestSchema.parse(`sha256:${'a'.repeat(64)}`);
/** What one runtime of a node tells a store. */
export const node = objectKey('nodes', 'n1');
export const one = objectKey('team-a', 'one');
export const two = objectKey('team-a', 'two');

const sizes = { storedBytes: 1, residentBytes: 1, neededBytes: 1, rank: 8 };
const adapterState = (state: string) => anAdapterState('u', digest, state, sizes);
export const change = (adapters: Record<string, string>, more: Partial<Change> = {}): Change => ({
  whole: true,
  adapters: new Map(Object.entries(adapters).map(([key, state]) => [key as ObjectKey, adapterState(state)])),
  gone: [],
  rollouts: new Map(),
  goneRollouts: [],
  ...more,
});
export const info = {
  version: '1',
  baseModel: 'tiny',
  baseDigest: '' as const,
  executionProvider: 'cpu',
  node: 'n1',
  pod: 'p',
  ownerUid: '',
  maxRank: 256,
};
export const update = (connectionSeq: bigint, more: Partial<Update> = {}): Update => ({
  key: node,
  kind: 'Node',
  instance: 'i',
  connectionSeq,
  ...more,
});
/** The first update of a connection. */
export const opened = (connectionSeq: bigint, adapters: Record<string, string> = {}): Update =>
  update(connectionSeq, {
    opened: { info, connectedAt: Number(connectionSeq) * 1_000 },
    change: change(adapters),
  });
