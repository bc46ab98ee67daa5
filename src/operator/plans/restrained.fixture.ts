import * as fc from 'fast-check';
import { fakeDigest } from '../../api/names.fixture.ts';
import { type ObjectKey, objectKey } from '../../api/names.ts';
import type { AdapterObject, RolloutObject } from '../../api/objects.ts';
import { keyOf } from '../../api/references.ts';
import type { BoundAdapter, RolloutStatus } from '../../api/rollout-status.ts';
import { noRevision } from '../../control/revision.ts';
import { Sender } from '../../control/sender.ts';
import { compilePlan } from '../../plan/compile.ts';
import { anAdapter, aRollout, aStatus } from '../../plan/manifests.fixture.ts';
import { type Plan, resourceKey, type SplitResource, type Versioned } from '../../plan/resources.ts';
import { seedOf } from '../../rollout/splitter.ts';
import type { AdapterState, RolloutState } from '../fleet/fleet.ts';
import type { Restraint } from '../objects/restraint.ts';
import { anAdapterState, aRolloutState } from '../testing/fake-fleet.ts';
import { planWhenCordoned } from './when-cordoned.ts';
import { planWhenHeld } from './when-held.ts';

export const names = ['v1', 'v2', 'v3', 'v4'] as const;
export const sql = objectKey('team-a', 'sql');
export const runtime = { key: 'edge/a', labels: {} };
export const bound = (adapter: string): BoundAdapter => ({
  adapter,
  uid: `Adapter-team-a-${adapter}`,
  digest: fakeDigest(adapter.slice(-1)),
});
export const adapters: AdapterObject[] = names.map((name) =>
  anAdapter({ name }, { digest: bound(name).digest }),
);

export type Change = {
  readonly stable?: string | undefined;
  readonly canary?: string | undefined;
  readonly weight?: number | undefined;
  readonly history?: readonly string[] | undefined;
  readonly aborted?: boolean | undefined;
  readonly completion?: RolloutStatus['completionStatus'] | undefined;
};
export const rolloutOf = ({
  stable,
  canary,
  weight = 0,
  history = [],
  aborted,
  completion,
}: Change): RolloutObject => {
  const of = canary === undefined ? undefined : bound(canary);
  return aRollout(
    { name: 'sql' },
    { adapter: canary ?? stable ?? 'v1' },
    aStatus({
      ...(stable === undefined ? {} : { stable: bound(stable) }),
      ...(of === undefined
        ? {}
        : { canary: { ...of, seed: seedOf('team-a', 'sql', of.digest), attempt: 1 } }),
      history: history.map(bound),
      weights: { canary: aborted === true ? 0 : weight, stable: 100 - weight },
      ...(aborted === true && of !== undefined
        ? { abort: { at: '2026-01-01T00:00:00Z', reason: 'x', uid: of.uid, digest: of.digest } }
        : {}),
      ...(completion === undefined ? {} : { completionStatus: completion }),
    }),
  );
};

/** A runtime that does what it is sent, at once, through the sender that the operator has for it. */
export class Node {
  readonly #sender = new Sender({ held: new Map(), revision: noRevision, subscriptions: [] });
  readonly resources = new Map<string, Versioned>();
  restraint: Restraint | undefined;

  get state(): { adapters: Map<typeof sql, AdapterState>; rollouts: Map<typeof sql, RolloutState> } {
    const had = new Map<typeof sql, AdapterState>();
    const rollouts = new Map<typeof sql, RolloutState>();
    for (const one of this.resources.values()) {
      if (one.type === 'AdapterSpec') {
        const state = { Memory: 'Resident', Disk: 'Stored', None: 'Remote' }[one.body.tier];
        had.set(one.name, anAdapterState(one.body.uid, one.body.digest ?? '', state));
      }
      if (one.type !== 'Split') continue;
      const { uid, stable, canary, weight } = one.body;
      const digests = { stableDigest: stable?.digest ?? '', canaryDigest: canary?.digest ?? '' } as const;
      rollouts.set(one.name, aRolloutState(uid, { ...digests, attempt: canary?.attempt ?? 0, weight }));
    }
    return { adapters: had, rollouts };
  }
  get split(): SplitResource['body'] | undefined {
    const split = this.resources.get(`Split ${sql}`);
    return split?.type === 'Split' ? split.body : undefined;
  }
  /** `stable canary@weight`. */
  get serves(): string {
    const { stable, canary, weight } = this.split ?? {};
    return `${stable?.adapter ?? 'nothing'}${canary === undefined ? '' : ` ${canary.adapter}@${weight}`}`;
  }
  get has(): string[] {
    const { adapters: had } = this.state;
    return [...had]
      .filter(([, { state }]) => state !== 'Remote')
      .map(([key]) => key.slice('team-a/'.length))
      .sort();
  }

  follow(rollout: RolloutObject, objects = adapters): this {
    const { plan } = compilePlan({
      manifests: [...objects, rollout],
      runtime: { ...runtime, baseModel: 'tiny' },
    });
    // Until nothing more comes: what it has may let more through.
    for (let turn = 0; turn < 5; turn++) {
      const batch = this.#sender.next({
        ...this.#restrained(plan, rollout, objects),
        revision: noRevision,
        mayRemove: () => true,
        confirmedRemovals: '',
      });
      if (batch === undefined) return this;
      for (const one of batch.puts) this.resources.set(resourceKey(one), one);
      for (const key of batch.removes) this.resources.delete(key);
      this.#sender.acknowledged(batch.commit.nonce, []);
    }
    throw new Error('there is always something more to send');
  }

  #restrained(plan: Plan, rollout: RolloutObject, objects: readonly AdapterObject[]) {
    const input = {
      plan,
      withheld: new Set<string>(),
      state: this.state,
      runtime,
      rolloutOf: () => rollout,
      adapterOf: (key: ObjectKey) => objects.find((one) => keyOf(one) === key),
      versionOf: (key: string) => this.resources.get(key)?.version,
    };
    if (this.restraint === undefined) return { plan, withheld: input.withheld };
    return this.restraint === 'Held' ? planWhenHeld(input) : planWhenCordoned(input);
  }
}

export const onV1: Change = { stable: 'v1' };
export const canaryV2: Change = { stable: 'v1', canary: 'v2', weight: 20 };

/** A status as one decision may leave it, of the one before. */
export const changes = fc.record({
  stable: fc.constantFrom(...names),
  canary: fc.option(fc.constantFrom(...names), { nil: undefined }),
  weight: fc.constantFrom(0, 20, 100),
  history: fc.uniqueArray(fc.constantFrom(...names), { maxLength: 2 }),
  aborted: fc.boolean(),
  completion: fc.constantFrom(undefined, 'Promoted' as const, 'FastRolledBack' as const),
});
