import { type ObjectKey, objectKey } from '../../src/api/names.ts';

/** A step as people write it. */
export type SoakStep = {
  readonly setWeight?: number;
  readonly pause?: object;
  readonly analysis?: object;
  readonly preload?: object;
};

/** A rollout of the soak: where it is, and how it goes. */
export type SoakRollout = {
  readonly key: ObjectKey;
  readonly namespace: string;
  readonly model: string;
  readonly steps: readonly SoakStep[];
  /** As people write them; absent: all runtimes at once. */
  readonly groups?: readonly object[];
  /** Its adapters come from the registry. */
  readonly isRemote: boolean;
};

const weight = (setWeight: number): SoakStep => ({ setWeight });
const pause = (duration: string): SoakStep => ({ pause: { duration } });
/** With so little traffic it is often inconclusive: then the driver promotes, as a person would. */
const analysis: SoakStep = {
  analysis: {
    duration: '4s',
    metrics: [
      {
        name: 'errors',
        interval: '1s',
        source: { builtin: 'ErrorRatio' },
        judge: { sequential: { minSampleSize: 10 } },
      },
    ],
  },
};

const ways: Readonly<Record<string, readonly SoakStep[]>> = {
  talk: [weight(30), pause('2s'), weight(70), pause('1s')],
  say: [{ preload: {} }, weight(10), pause('3s'), weight(50), pause('2s'), weight(90), pause('1s')],
  judged: [weight(40), pause('2s'), analysis, weight(80), pause('1s')],
  fetched: [weight(25), pause('2s'), weight(75), pause('2s')],
  waves: [weight(50), pause('1s')],
};
/** Half of a group may lie or be away: what it says stops nobody. */
const many = { maxFailures: { percentage: '50%' }, successThreshold: '50%', errorAction: 'Pause' };
const groupsOf: Readonly<Record<string, readonly object[]>> = {
  waves: [
    { name: 'pilot', limit: { percentage: '30%' }, bakeTime: '1s', ...many },
    { name: 'all', maxConcurrency: { percentage: '50%' }, ...many },
  ],
};

/** Both tenants have a rollout `talk`, and each has names that the other does not have. */
const modelsOf: readonly (readonly string[])[] = [
  ['talk', 'say', 'judged-a', 'fetched-a', 'waves'],
  ['talk', 'judged-b', 'fetched-b'],
];

export const rolloutsOf = (tenants: readonly string[], hasRegistry: boolean): readonly SoakRollout[] =>
  tenants.flatMap((namespace, tenant) =>
    (modelsOf[tenant] ?? []).map((model) => {
      const way = model.split('-')[0] ?? model;
      const steps = ways[way] ?? [];
      const isRemote = way === 'fetched' && hasRegistry;
      const groups = groupsOf[way];
      const key = objectKey(namespace, model);
      return { key, namespace, model, steps, isRemote, ...(groups && { groups }) };
    }),
  );

/** A name that the other tenant has and this one does not. */
export const foreignName = (tenants: readonly string[], tenant: number): string =>
  (modelsOf[(tenant + 1) % tenants.length] ?? []).find((name) => !(modelsOf[tenant] ?? []).includes(name)) ??
  'nobody';
