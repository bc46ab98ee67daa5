import { conditionOf } from '../../api/condition.ts';
import type { ObjectKey } from '../../api/names.ts';
import { canonicalJson } from '../../plan/canonical.ts';
import { isServedAt } from '../../plan/policies.ts';
import type { RuntimeKey, RuntimeState } from '../fleet/fleet.ts';
import type { ObjectChange, RuntimeObject } from '../objects/objects.ts';
import type { Policies } from '../objects/policies.ts';
import { type Restraint, restrainedSinceOf, restraintOf } from '../objects/restraint.ts';
import { type Scope, scopeOf } from '../objects/scope.ts';
import { type ControllerParts, graceMs } from './controller.ts';

/**
 * Connected: its reports count. Silent: it was connected when this term began, and may report any moment. Away: not
 * connected.
 */
export type Presence = 'Connected' | 'Silent' | 'Away';

export type PresentRuntime = {
  readonly key: RuntimeKey;
  readonly scope: Scope;
  readonly labels: Readonly<Record<string, string>>;
  /** '' while it is not known. */
  readonly baseModel: string;
  readonly presence: Presence;
  /** Wall time in milliseconds when it went away, as far as anybody knows; absent while it is not away. */
  readonly awaySince?: number | undefined;
  /** What keeps new things from it. */
  readonly restraint?: Restraint | undefined;
  /** Wall time in milliseconds since when, as written down. */
  readonly restrainedSince?: number | undefined;
  /** What it reported. */
  readonly state: RuntimeState | undefined;
};

export type RuntimesNow = {
  /** In the order of their keys. */
  readonly runtimes: readonly PresentRuntime[];
  /** Milliseconds until the silent ones count as away; absent when none is silent. */
  readonly changesInMs?: number;
};

type Written = Pick<PresentRuntime, 'key' | 'labels' | 'baseModel' | 'restraint' | 'restrainedSince'> & {
  /** One of which nothing is written is taken for the less: only the operator writes a status. */
  readonly kind: 'Node' | 'Pod';
  readonly wasConnected: boolean;
  /** RFC 3339. */
  readonly disconnectedAt: string | undefined;
};

const writtenOf = (key: ObjectKey, object: RuntimeObject | undefined): Written => ({
  key,
  kind: object?.status?.kind ?? 'Pod',
  labels: object?.metadata.labels ?? {},
  baseModel: object?.status?.baseModel.name ?? '',
  restraint: object && restraintOf(object),
  restrainedSince: timeOf(object && restrainedSinceOf(object)),
  disconnectedAt: object?.status?.disconnectedAt,
  wasConnected: conditionOf(object?.status?.conditions, 'Connected')?.status === 'True',
});

const placeOf = ({ kind, labels, baseModel, restraint }: Written): string =>
  canonicalJson({ kind, labels, baseModel, restraint });

/**
 * Which namespaces a change of an AdapterRuntime concerns, as its place among those that rollouts and adapters are for;
 * `None` where its place is the same.
 */
export const movedIn = ({
  type,
  key,
  object,
  before,
}: ObjectChange<RuntimeObject>): { readonly scope: Scope } | 'None' => {
  const now = writtenOf(key, object.object);
  const then = before && writtenOf(key, before.object);
  if (type === 'updated' && then !== undefined && placeOf(now) === placeOf(then)) return 'None';
  const isOfNode = now.kind === 'Node' || then?.kind === 'Node';
  return { scope: scopeOf(isOfNode ? 'Node' : 'Pod', key) };
};

const timeOf = (text: string | undefined): number | undefined => {
  const time = Date.parse(text ?? '');
  return Number.isNaN(time) ? undefined : time;
};

type PresenceParts = Pick<ControllerParts, 'clock' | 'term' | 'objects' | 'fleet'> & {
  readonly policies: Pick<Policies, 'policyOf'>;
};

/**
 * Every AdapterRuntime with what its runtime reported. One that has no object yet is not in it: what selects runtimes
 * selects by the labels of the object.
 */
export class Presences {
  readonly #parts: PresenceParts;
  readonly #written = new Map<RuntimeKey, Written>();
  /** In the order of their keys; undefined after one came or went. */
  #sorted: RuntimeKey[] | undefined;
  readonly #stop: () => void;

  constructor(parts: PresenceParts) {
    this.#parts = parts;
    const { runtimes } = parts.objects;
    this.#stop = runtimes.onChange(({ type, key, object }) => {
      if (type === 'deleted' || !this.#written.has(key)) this.#sorted = undefined;
      if (type === 'deleted') this.#written.delete(key);
      else this.#written.set(key, writtenOf(key, object.object));
    });
    for (const { key, object } of runtimes.list()) this.#written.set(key, writtenOf(key, object));
  }

  close(): void {
    this.#stop();
  }

  /** Those that see the objects of a namespace: its own pods, and the nodes that its policy leaves it. */
  now(namespace: string): RuntimesNow {
    const policy = this.#parts.policies.policyOf(namespace);
    return this.#now((scope, labels) =>
      scope === undefined ? isServedAt(policy, { labels }) : scope === namespace,
    );
  }

  /** Those of every scope. No decision about an object may look at them. */
  everywhere(): RuntimesNow {
    return this.#now(() => true);
  }

  #now(isWanted: (scope: Scope, labels: Written['labels']) => boolean): RuntimesNow {
    const { clock, term, fleet } = this.#parts;
    this.#sorted ??= [...this.#written.keys()].sort();
    const graceLeft = term.since + graceMs - clock.monotonic();
    let isAnySilent = false;
    const runtimes: PresentRuntime[] = [];
    for (const key of this.#sorted) {
      const written = this.#written.get(key);
      if (written === undefined) continue;
      const { labels, baseModel, restraint, restrainedSince, wasConnected, disconnectedAt } = written;
      const state = fleet.get(key);
      const scope = scopeOf(state?.kind ?? written.kind, key);
      if (!isWanted(scope, labels)) continue;
      const isSilent = state === undefined && wasConnected && graceLeft > 0;
      isAnySilent ||= isSilent;
      const away = isSilent ? 'Silent' : 'Away';
      const presence = state?.connected === true ? 'Connected' : away;
      runtimes.push({
        key,
        scope,
        labels,
        baseModel: state?.info.baseModel ?? baseModel,
        presence,
        ...(restraint === undefined ? {} : { restraint, restrainedSince }),
        ...(presence === 'Away' ? { awaySince: state?.disconnectedAt ?? timeOf(disconnectedAt) } : {}),
        state,
      });
    }
    return { runtimes, ...(isAnySilent ? { changesInMs: graceLeft } : {}) };
  }

  /** Base models that runtimes have, or had when they were last here, by the scope of the runtimes. */
  baseModels(): ReadonlyMap<Scope, ReadonlySet<string>> {
    const models = new Map<Scope, Set<string>>();
    for (const { scope, baseModel } of this.everywhere().runtimes) {
      if (baseModel === '') continue;
      models.set(scope, (models.get(scope) ?? new Set()).add(baseModel));
    }
    return models;
  }
}
