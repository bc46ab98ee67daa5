import { setTimeout as sleep } from 'node:timers/promises';
import { type ObjectKey, objectKey } from '../../../src/api/names.ts';
import type { RolloutStatus } from '../../../src/api/rollout-status.ts';
import type { KubeApi } from '../../../src/kube/client/api.ts';
import { type KubeObject, pathOf, type ResourceType } from '../../../src/kube/client/object.ts';
import { adapterType, namespaceType, rolloutType } from '../../../src/operator/objects/resource-types.ts';
import { requestText } from '../../../src/rollout/request.ts';
import { inParts } from '../../support/in-parts.ts';
import { waitFor } from '../../support/wait.ts';
import type { Size } from './sizes.ts';

type Rollout = KubeObject & { readonly status?: RolloutStatus };

const apiVersion = 'adaptlet.io/v1alpha1';
const settleMs = 600_000;
/** Of a canary before the first change. */
const firstWeight = 10;

const digestOf = (i: number): string => `sha256:${i.toString(16).padStart(64, '0')}`;
const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** The Adapters and rollouts of a fleet, spread over namespaces. Rollout i moves from Adapter 2i to 2i + 1. */
export class Workload {
  readonly #api: KubeApi;
  readonly #size: Size;
  readonly #changes: number[];

  constructor(api: KubeApi, size: Size) {
    this.#api = api;
    this.#size = size;
    this.#changes = numbers(size.rollouts).map(() => 0);
  }

  key(rollout: number): ObjectKey {
    return objectKey(this.#namespaceOf(rollout), `r${rollout}`);
  }

  /** Makes all objects. */
  async create(): Promise<void> {
    const { adapters, rollouts, namespaces } = this.#size;
    await inParts(numbers(namespaces), (i) =>
      this.#create(namespaceType, '', {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: `team-${i}` },
      }),
    );
    await inParts(numbers(adapters), (i) =>
      this.#create(adapterType, this.#namespaceOf(Math.floor(i / 2)), {
        apiVersion,
        kind: 'Adapter',
        metadata: { name: `a${i}` },
        spec: { baseModel: 'tiny', source: { path: { path: `a${i}` } }, digest: digestOf(i) },
      }),
    );
    await inParts(numbers(rollouts), (i) =>
      this.#create(rolloutType, this.#namespaceOf(i), {
        apiVersion,
        kind: 'AdapterRollout',
        metadata: { name: `r${i}` },
        spec: this.#spec(2 * i, firstWeight),
      }),
    );
  }

  /** Gives every rollout a canary, once its stable adapter serves. Resolves when all wait for a person. */
  async beginCanaries(): Promise<void> {
    await this.#untilAll('Healthy');
    await inParts(numbers(this.#size.rollouts), (i) =>
      this.#patch(i, { spec: this.#spec(2 * i + 1, firstWeight) }),
    );
    await this.#untilAll('Paused');
  }

  /** The weight that {@link change} gives a rollout next. */
  nextWeight(rollout: number): number {
    return firstWeight + 1 + ((this.#changes[rollout] ?? 0) % 80);
  }

  /** Moves the canary of a rollout to its next weight. */
  async change(rollout: number): Promise<void> {
    const weight = this.nextWeight(rollout);
    this.#changes[rollout] = (this.#changes[rollout] ?? 0) + 1;
    await this.#patch(rollout, { spec: this.#spec(2 * rollout + 1, weight) });
  }

  async abort(rollout: number): Promise<void> {
    const request = requestText({ verb: 'abort', id: `bench-${rollout}` });
    await this.#patch(rollout, { metadata: { annotations: { 'adaptlet.io/request': request } } });
  }

  /** Whether the operator has decided about the rollout as it is specified now. */
  async isDecided(rollout: number): Promise<boolean> {
    const path = pathOf(rolloutType, this.#namespaceOf(rollout), `r${rollout}`);
    const { metadata, status } = await this.#api.request<Rollout>({ method: 'GET', path });
    return status?.observedGeneration === metadata.generation;
  }

  #namespaceOf(rollout: number): string {
    return `team-${rollout % this.#size.namespaces}`;
  }

  #spec(adapter: number, weight: number) {
    return {
      adapter: `a${adapter}`,
      strategy: { canary: { steps: [{ setWeight: weight }, { pause: {} }] } },
    };
  }

  #create(type: ResourceType, namespace: string, body: object): Promise<unknown> {
    return this.#api.request({ method: 'POST', path: pathOf(type, namespace), body });
  }

  #patch(rollout: number, body: object): Promise<unknown> {
    return this.#api.request({
      method: 'PATCH',
      path: pathOf(rolloutType, this.#namespaceOf(rollout), `r${rollout}`),
      contentType: 'application/merge-patch+json',
      body,
    });
  }

  async #untilAll(phase: RolloutStatus['phase']): Promise<void> {
    const { rollouts } = this.#size;
    let last = new Map<string, number>();
    const look = async (): Promise<boolean> => {
      await sleep(200);
      const { items } = await this.#api.request<{ readonly items: readonly Rollout[] }>({
        method: 'GET',
        path: pathOf(rolloutType),
      });
      last = new Map();
      for (const { metadata, status } of items) {
        const now = status?.observedGeneration === metadata.generation ? status?.phase : 'not seen';
        last.set(now ?? '', (last.get(now ?? '') ?? 0) + 1);
      }
      return last.get(phase) === rollouts;
    };
    await waitFor(`${rollouts} rollouts to be ${phase}`, look, settleMs).catch((error: unknown) => {
      throw new Error(`phases: ${JSON.stringify([...last])}`, { cause: error });
    });
  }
}
