import type { AdapterSpec } from '../../api/adapter.ts';
import { fakeDigest } from '../../api/names.fixture.ts';
import { type Digest, objectKey } from '../../api/names.ts';
import { anAdapter, aRollout, aStatus } from '../../plan/manifests.fixture.ts';
import type { Verified } from '../../signature/verify.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import type { AdapterState } from '../fleet/fleet.ts';
import type { SignatureQuestion } from '../reconcile/signature-verdicts.ts';
import { FakeCluster } from '../testing/fake-cluster.ts';
import {
  anAdapterState,
  aRolloutState,
  aRuntimeObject,
  aRuntimeStatus,
  FakeFleet,
  runtimeKey,
} from '../testing/fake-fleet.ts';
import { partsOf } from '../testing/parts-of.ts';
import { AdapterController, type AdapterParts } from './controller.ts';

export const v1 = objectKey('team-a', 'v1');
export const uid = 'Adapter-team-a-v1';
export const digest = fakeDigest('1');

/** For tests: the Adapter team-a/v1, a registry, runtimes, and a leader. */
export class AdapterWorld {
  readonly cluster = new FakeCluster();
  readonly fleet = new FakeFleet();
  readonly clock = new FakeClock();
  readonly terminating = new Set<string>();
  readonly questions: { readonly image: string; readonly answer: PromiseWithResolvers<Digest> }[] = [];
  readonly signatureQuestions: {
    readonly question: SignatureQuestion;
    readonly answer: PromiseWithResolvers<Verified>;
  }[] = [];
  parts: AdapterParts = this.#elect();
  controller = new AdapterController(this.parts);

  #elect(): AdapterParts {
    return {
      ...partsOf(this, {
        resolve: (_, { image }) => {
          const answer = Promise.withResolvers<Digest>();
          this.questions.push({ image, answer });
          return answer.promise;
        },
        verify: (_, question) => {
          const answer = Promise.withResolvers<Verified>();
          this.signatureQuestions.push({ question, answer });
          return answer.promise;
        },
      }),
      isTerminating: async (namespace) => this.terminating.has(namespace),
    };
  }

  takeOver(): void {
    this.parts = this.#elect();
    this.controller = new AdapterController(this.parts);
  }

  join(...names: string[]): this {
    for (const name of names) {
      this.cluster.apply(aRuntimeObject(runtimeKey(name), {}, aRuntimeStatus(true)));
      this.fleet.report(runtimeKey(name));
    }
    return this;
  }
  adapter(spec: Partial<AdapterSpec> = { digest }): this {
    this.cluster.apply(anAdapter({ name: 'v1' }, spec));
    return this;
  }
  tag(image = 'registry.example/team-a/sql:v1'): this {
    return this.adapter({ source: { oci: { image } } });
  }
  delete(): this {
    const object = this.cluster.adapters.server.get(v1)?.object;
    if (object !== undefined) this.cluster.apply(object, { deletionTimestamp: '2026-01-01T00:00:00Z' });
    return this;
  }
  /** A rollout that names it in its spec, or is bound to it. */
  rollout(as: 'spec' | 'stable' | 'canary' | 'history' | 'other', name = 'sql', bound = uid): this {
    const one = { adapter: 'v1', uid: bound, digest };
    const status = aStatus({
      ...(as === 'stable' ? { stable: one } : {}),
      ...(as === 'canary' ? { canary: { ...one, seed: '0', attempt: 1 } } : {}),
      ...(as === 'history' ? { history: [one] } : {}),
    });
    this.cluster.apply(aRollout({ name }, { adapter: as === 'spec' ? 'v1' : 'v9' }, status));
    return this;
  }
  state(name: string, state: string, more: Partial<AdapterState> = {}): this {
    this.fleet.report(runtimeKey(name), {
      adapters: new Map([[v1, anAdapterState(uid, digest, state, more)]]),
    });
    return this;
  }
  serves(name: string): this {
    const report = aRolloutState('AdapterRollout-team-a-sql', { stableDigest: digest });
    this.fleet.report(runtimeKey(name), { rollouts: new Map([[objectKey('team-a', 'sql'), report]]) });
    return this;
  }

  run() {
    return this.controller.reconcile(v1, new AbortController().signal);
  }
  async settle(): Promise<void> {
    for (let turn = 0; turn < 10; turn++) {
      const before = this.cluster.writes.length;
      this.clock.advance(1000);
      await this.run();
      if (this.cluster.writes.length === before) return;
    }
    throw new Error('it never settles');
  }

  get finalizers(): readonly string[] {
    return this.cluster.adapters.server.get(v1)?.metadata.finalizers ?? [];
  }
  get status() {
    const status = this.cluster.adapters.server.get(v1)?.object?.status;
    if (status === undefined) throw new Error('there is no status');
    return status;
  }
  condition(type: string): string {
    const { status, reason, message } = this.status.conditions.find((one) => one.type === type) ?? {};
    return `${status} ${reason}: ${message}`;
  }
  get reasons(): string[] {
    return this.cluster.events.map(({ reason }) => reason);
  }
}
