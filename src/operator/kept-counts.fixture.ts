import * as fc from 'fast-check';
import type { GroupStatus } from '../api/group-status.ts';
import { groupsSchema } from '../api/groups.ts';
import { fakeDigest } from '../api/names.fixture.ts';
import { objectKey } from '../api/names.ts';
import type { AdapterObject, RolloutObject } from '../api/objects.ts';
import type { Selector } from '../api/selector.ts';
import { anAdapter, aRollout, aStatus } from '../plan/manifests.fixture.ts';
import { noCopyCounts } from '../rollout/copies.ts';
import { ArmCounter } from '../rollout/judge/counts.ts';
import type { AdapterState, RolloutState } from './fleet/fleet.ts';
import { anAdapterState, aRolloutState } from './testing/fake-fleet.ts';

const names = ['a', 'b', 'c', 'd', 'team-a/p', 'team-b/p'] as const;
export const digests = [fakeDigest('1'), fakeDigest('2')] as const;
const uidOf = (name: string): string => `Adapter-team-a-${name}`;
const bindings = [
  { adapter: 'v1', uid: uidOf('v1'), digest: digests[0] },
  { adapter: 'v2', uid: uidOf('v2'), digest: digests[1] },
] as const;
export const route = objectKey('team-a', 'assistant');
export const zone = (value: string): Selector => ({ matchLabels: { zone: value } });

const group = (name: string, more: Partial<GroupStatus>): GroupStatus => ({
  name,
  phase: 'Progressing',
  hash: '0',
  reach: 2 ** 48,
  weight: 10,
  step: 0,
  message: '',
  ...more,
});
const canary = { ...bindings[1], seed: '0123456789abcdef', attempt: 1 };
const underWay = aStatus({ stable: bindings[0], canary, weights: { stable: 90, canary: 10 } });
export const rollouts: readonly RolloutObject[] = [
  aRollout({ name: 'rest' }, { adapter: 'v1' }, aStatus({ stable: bindings[0] })),
  aRollout({ name: 'first' }, { adapter: 'v2', runtimeSelector: zone('north') }),
  aRollout({ name: 'canary' }, { adapter: 'v2', maxFailures: { count: 1 } }, underWay),
  aRollout(
    { name: 'grouped' },
    {
      adapter: 'v2',
      groups: groupsSchema.parse([{ name: 'pilot', selector: zone('north') }, { name: 'all' }]),
    },
    {
      ...underWay,
      groups: [
        group('pilot', { selector: zone('north'), startedAt: '2023-11-14T22:13:31.000Z' }),
        group('all', { reach: 2 ** 47, startedAt: '2023-11-14T22:13:42.000Z' }),
      ],
    },
  ),
  aRollout({ name: 'gone' }, { adapter: 'v8' }, aStatus({ stable: { ...bindings[0], adapter: 'v9' } })),
];
export const adapters: readonly AdapterObject[] = [
  anAdapter(
    { name: 'v1' },
    { digest: digests[0], preload: { tier: 'Disk', runtimeSelector: zone('north') } },
  ),
  anAdapter({ name: 'v2' }, { digest: digests[1], baseModelDigests: [fakeDigest('b')] }),
];

const adapterState = fc.record({
  name: fc.constantFrom('v1', 'v2'),
  uid: fc.constantFrom('own', 'own', 'own', 'former'),
  digest: fc.constantFrom(...digests, '' as const),
  state: fc.constantFrom('Remote', 'Fetching', 'Stored', 'Compiled', 'Resident', 'Resident', 'Failed'),
  reason: fc.constantFrom('', 'STORE_FULL', 'ADAPTER_SHAPE'),
  message: fc.constantFrom('', 'one', 'other'),
  isFinal: fc.boolean(),
  storedBytes: fc.constantFrom(0, 500, 5000),
  neededBytes: fc.constantFrom(0, 500, 5000),
  rank: fc.constantFrom(0, 8, 512),
  modules: fc.constantFrom([], ['q_proj']),
});
const report = fc.record({
  name: fc.constantFrom('canary', 'canary', 'canary', ...rollouts.map(({ metadata }) => metadata.name)),
  uid: fc.constantFrom('own', 'own', 'own', 'own', 'former'),
  stableDigest: fc.constantFrom(...digests, '' as const),
  canaryDigest: fc.constantFrom(digests[1], digests[1], '' as const),
  attempt: fc.constantFrom(0, 1, 1, 1, 2),
  weight: fc.constantFrom(0, 10, 10),
  effectiveWeight: fc.constantFrom(0, 10),
  served: fc.record({ stable: fc.nat(99), canary: fc.nat(99) }),
  hold: fc.constantFrom('', '', 'Guard', 'BreakGlass'),
  mirrors: fc.boolean(),
  seq: fc.nat(3),
});
const told = fc.record({
  adapters: fc.array(adapterState, { maxLength: 2 }),
  rollouts: fc.array(report, { minLength: 1, maxLength: 3, size: 'max' }),
  gone: fc.subarray(['v1', 'v2']),
  routes: fc.record({
    acknowledged: fc.constantFrom(0n, 1n, 2n, 2n, 3n),
    refusal: fc.constantFrom('', '', 'too many rules', 'another'),
    classifier: fc.constantFrom('', 'none', 'Ready', 'Failed'),
  }),
  ready: fc.boolean(),
  budgetBytes: fc.constantFrom(1000, 1000, 2000),
});
const runtime = fc.constantFrom('a', 'a', 'b', ...names);
const teller = fc.constantFrom('local', 'x', 'y');
/** Before, between and after the groups begin, and when they do. */
const writtenAt = fc.constantFrom(
  '',
  ...[25, 31, 35, 42, 50].map((second) => `2023-11-14T22:13:${second}.000Z`),
);
/** For tests: what may happen to runtimes, and what they may say. */
export const happening = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('open' as const),
      runtime,
      source: teller,
      seq: fc.integer({ min: 1, max: 4 }),
      model: fc.constantFrom('tiny', 'tiny', 'other'),
      build: fc.constantFrom('' as const, fakeDigest('b'), fakeDigest('c')),
      told,
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('report' as const), runtime, told }) },
  fc.record({ do: fc.constant('gone' as const), runtime, source: teller }),
  fc.record({ do: fc.constant('lost' as const), source: teller }),
  fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(1000, 11_000, 31_000, 3_700_000) }),
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('object' as const),
      runtime,
      zone: fc.constantFrom('north', 'south', ''),
      spec: fc.constantFrom({}, {}, { cordoned: true }, { held: true }),
      connected: fc.boolean(),
      goneAt: writtenAt,
      restrained: fc.constantFrom('', 'Cordoned', 'Held'),
      restrainedAt: writtenAt,
    }),
  },
  fc.constant({ do: 'forget' as const }),
  fc.record({ do: fc.constant('delete' as const), runtime }),
  fc.record({ do: fc.constant('policy' as const), nodes: fc.constantFrom('north', 'south', '', 'none') }),
);
export type Happening = typeof happening extends fc.Arbitrary<infer T> ? T : never;
export type Told = Extract<Happening, { do: 'report' }>['told'];

export const hello = {
  source: 'local',
  seq: 1,
  model: 'tiny',
  build: '',
  told: {
    adapters: [],
    rollouts: [],
    gone: [],
    routes: { acknowledged: 0n, refusal: '', classifier: '' },
    ready: true,
    budgetBytes: 1000,
  },
} satisfies Omit<Extract<Happening, { do: 'open' }>, 'do' | 'runtime'>;

export const adapterOf = ({ name, uid, modules, ...more }: Told['adapters'][number]): AdapterState =>
  anAdapterState(uid === 'own' ? uidOf(name) : uid, more.digest, more.state, {
    ...more,
    targetModules: [...modules],
  });
const armOf = (seq: number) => ({ ...new ArmCounter().snapshot(), latencyMs: seq });
export const reportOf = ({
  name,
  uid,
  hold,
  mirrors,
  seq,
  ...more
}: Told['rollouts'][number]): RolloutState =>
  aRolloutState(uid === 'own' ? `AdapterRollout-team-a-${name}` : uid, {
    ...more,
    holds:
      hold === ''
        ? []
        : [
            {
              digest: digests[1],
              cause: hold === 'Guard' ? 'Guard' : 'BreakGlass',
              reason: 'bad',
              attempt: 1,
            },
          ],
    ...(mirrors ? { mirror: { ...noCopyCounts, percentage: 0, requests: seq } } : {}),
    counts: seq === 0 ? [] : [{ weight: 10, seq, stable: armOf(seq), canary: armOf(seq) }],
  });
