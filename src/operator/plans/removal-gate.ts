import type { ObjectKey } from '../../api/names.ts';
import { readKey } from '../../control/key.ts';
import { AdaptletError, asAdaptletError } from '../../errors/adaptlet-error.ts';
import type { KubeApi } from '../../kube/client/api.ts';
import type { Resource } from '../../plan/resources.ts';
import type { Log } from '../../telemetry/log.ts';
import { backoffMs } from '../../time/backoff.ts';
import type { Clock } from '../../time/clock.ts';
import type { Objects } from '../objects/objects.ts';
import { adapterType, policyType, rolloutType, routeType, runtimeType } from '../objects/resource-types.ts';

export type RemovalGateOptions = {
  readonly api: KubeApi;
  readonly objects: Objects;
  readonly clock: Clock;
  readonly logger: Log;
  /** Uniform in [0, 1). */
  readonly random: () => number;
};

/** How long an object must be missing before anybody believes it. */
const patienceMs = 3_000;
const retryDelays = { firstMs: 1_000, maxMs: 60_000 };
/** Most objects that are remembered as missing; the first of them start anew when they are asked about. */
const maxMissing = 50_000;

/** Keys are of many Secrets: plans withhold them while these cannot be read, and what nobody may read is taken back. */
const noObject = { get: () => true };

/** A CustomResourceDefinition, as much of it as is looked at. */
type Definition = {
  readonly metadata?: { readonly deletionTimestamp?: string };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
};

/**
 * Decides whether an object that is not there may go from the runtimes. An API server that lost its CRDs, that denies
 * access or answers for an empty store tells of the same emptiness as one whose objects were deleted on purpose.
 *
 * Guarantees: a resource goes only when its object has been missing for 3 seconds, and the CRDs were found in
 * order after that, and the collections are in order now. An object that is there and that no plan has (its name
 * belongs to another, for example) is no question: its resource may go. A type that is not known never goes.
 */
export class RemovalGate {
  readonly #options: RemovalGateOptions;
  /** Objects that are not there, by `type namespace/name`, with the monotonic time when that was noticed. */
  readonly #missing = new Map<string, number>();
  /** Of these, what a sender waits for. */
  readonly #awaited = new Set<string>();
  readonly #listeners = new Set<() => void>();
  readonly #ends: (() => void)[];
  /** When the last check began that passed. */
  #passedAt = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #checking = false;
  #timer: { readonly at: number; readonly stop: () => void } | undefined;

  constructor(options: RemovalGateOptions) {
    this.#options = options;
    const { adapters, rollouts, routes, policies } = options.objects;
    this.#ends = [
      this.#observe('AdapterSpec', adapters),
      this.#observe('Split', rollouts),
      this.#observe('Route', routes),
      this.#observe('Policy', policies),
    ];
  }

  /** Whether the resource with this key may be removed from a runtime now. When not yet, listeners are called later. */
  readonly mayRemove = (key: string): boolean => {
    if (!this.#options.objects.health().ok) return false;
    const name = readKey(key);
    if (name === undefined) return false;
    if (this.#collection(name.type).get(name.name) !== undefined) return true;
    const since = this.#missingSince(key);
    if (this.#passedAt >= since + patienceMs) {
      this.#awaited.delete(key);
      return true;
    }
    this.#awaited.add(key);
    this.#plan(since + patienceMs);
    return false;
  };

  /** Called when keys that were asked about may go now. The result ends it. */
  onOpen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** `failures`: checks in a row that did not pass; `waiting`: keys that are held back. */
  gauges(): { readonly waiting: number; readonly failures: number } {
    return { waiting: this.#awaited.size, failures: this.#failures };
  }

  close(): void {
    this.#timer?.stop();
    for (const end of this.#ends) end();
    this.#listeners.clear();
    this.#awaited.clear();
  }

  #collection(type: Resource['type']): { get(key: ObjectKey): unknown } {
    const { adapters, rollouts, routes, policies } = this.#options.objects;
    return { AdapterSpec: adapters, Split: rollouts, Route: routes, Policy: policies, Keys: noObject }[type];
  }

  #observe(
    type: string,
    collection: { onChange: (listener: (change: { type: string; key: ObjectKey }) => void) => () => void },
  ): () => void {
    return collection.onChange((change) => {
      const key = `${type} ${change.key}`;
      if (change.type === 'deleted') this.#missingSince(key);
      else {
        this.#missing.delete(key);
        this.#awaited.delete(key);
      }
    });
  }

  #missingSince(key: string): number {
    const known = this.#missing.get(key);
    if (known !== undefined) return known;
    const now = this.#options.clock.monotonic();
    this.#missing.set(key, now);
    for (const oldest of this.#missing.keys()) {
      if (this.#missing.size <= maxMissing) break;
      this.#missing.delete(oldest);
    }
    return now;
  }

  #plan(at: number): void {
    if (this.#checking || (this.#timer !== undefined && this.#timer.at <= at)) return;
    this.#timer?.stop();
    const { clock } = this.#options;
    const stop = clock.after(Math.max(0, at - clock.monotonic()), () => {
      this.#timer = undefined;
      void this.#check();
    });
    this.#timer = { at, stop };
  }

  /** One check for everything that waits. */
  async #check(): Promise<void> {
    const { clock, logger, random } = this.#options;
    const startedAt = clock.monotonic();
    this.#checking = true;
    try {
      await this.#definitions();
      this.#failures = 0;
      this.#passedAt = startedAt;
    } catch (error) {
      this.#failures += 1;
      const err = asAdaptletError(error, 'looking at the CRDs');
      logger.warn(
        { err, waiting: this.#awaited.size, failures: this.#failures },
        'objects are missing and the CRDs are not in order: nothing is removed from runtimes',
      );
    } finally {
      this.#checking = false;
    }
    if (this.#failures > 0) {
      this.#plan(clock.monotonic() + backoffMs(this.#failures, random, retryDelays));
      return;
    }
    for (const listener of this.#listeners) listener();
    const latest = [...this.#awaited].map((key) => (this.#missing.get(key) ?? startedAt) + patienceMs);
    const open = latest.filter((at) => at > startedAt);
    if (open.length > 0) this.#plan(Math.min(...open));
  }

  async #definitions(): Promise<void> {
    const { api } = this.#options;
    for (const { plural, group } of [adapterType, rolloutType, routeType, policyType, runtimeType]) {
      const name = `${plural}.${group}`;
      const { metadata, status } = await api.request<Definition>({
        method: 'GET',
        path: `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`,
      });
      const is = (type: string): boolean =>
        status?.conditions?.some((condition) => condition.type === type && condition.status === 'True') ===
        true;
      if (metadata?.deletionTimestamp !== undefined || is('Terminating')) {
        throw new AdaptletError('KUBE_NOT_FOUND', `the CRD ${name} is being deleted`);
      }
      if (!is('Established')) throw new AdaptletError('KUBE_NOT_FOUND', `the CRD ${name} is not established`);
    }
  }
}
