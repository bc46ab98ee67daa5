import type { ObjectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Residency } from '../residency/manager.ts';
import type { Explanation } from '../routing/explain.ts';
import type { RequestContext } from '../routing/request.ts';
import type { Demand } from '../serving/demand.ts';
import { type BroughtAdapters, type LoraVerbs, loraVerbs } from './lora.ts';
import type { RolloutView, RuntimeStatus } from './views.ts';

export type RolloutVerb = 'promote' | 'promote-full' | 'abort' | 'retry' | 'rollback';

/**
 * What a person says about the operator that a node follows.
 * @throws VERB_REFUSED where it does not apply
 */
export type OperatorVerbs = {
  /** Accepts whatever cluster answers next. */
  trustCluster(): Promise<void>;
  /** Lets removals happen that are held back; resolves to how many. */
  confirmRemovals(): Promise<number>;
};

/** What people do by hand: `adaptlet` on the node, gRPC Admin, Triton's repository calls. */
export type Admin = OperatorVerbs & {
  status(): RuntimeStatus;
  /** To Resident; waits until it is. */
  preload(key: ObjectKey, signal: AbortSignal): Promise<void>;
  pin(key: ObjectKey, pinned: boolean): Promise<void>;
  /**
   * Out of RAM, after its references ran out. Refused (VERB_REFUSED) while a rollout holds it, and with `evenPinned` false
   * while it is pinned. Default true: who reaches Admin may take a pinned one out.
   */
  evict(key: ObjectKey, signal: AbortSignal, options?: { readonly evenPinned: boolean }): Promise<void>;
  rollout(key: ObjectKey, verb: RolloutVerb): Promise<RolloutView>;
  /**
   * What would become of a request, and why; nothing but classifiers is asked for it, and nothing is loaded.
   * @throws MODEL_NOT_FOUND, REQUEST_INVALID
   */
  explain(context: RequestContext, signal: AbortSignal): Promise<Explanation>;
  /** Absent: requests load no adapters here. */
  readonly lora?: LoraVerbs;
};

export type AdminParts = OperatorVerbs & {
  readonly residency: Residency;
  readonly status: () => RuntimeStatus;
  /** Decides about a verb of a rollout and puts the result in force. */
  readonly rolloutVerb: (key: ObjectKey, verb: RolloutVerb) => Promise<RolloutView>;
  readonly demand?: Demand | undefined;
  readonly explain: Admin['explain'];
  /** Undefined: requests load no adapters here. */
  readonly lora?: { readonly brought: BroughtAdapters | undefined } | undefined;
};

/** Hands each call to the part that owns it. */
export const createAdmin = (parts: AdminParts): Admin => {
  const { residency, status, rolloutVerb, demand, lora } = parts;
  const mayLeave = (key: ObjectKey, { evenPinned }: { readonly evenPinned: boolean }): void => {
    if (evenPinned || residency.view(key)?.pinned !== true) return;
    throw new AdaptletError('VERB_REFUSED', `adapter ${key} is pinned`, {
      advice: 'Unpin it, or ask with a credential of its namespace that has the right Lifecycle.',
    });
  };
  const admin: Omit<Admin, 'lora'> = {
    status,
    preload: async (key, signal) => {
      if (residency.state(key) === undefined) await demand?.bring(key, signal);
      // A person who asks again has usually changed something that a failure waits for.
      if (residency.state(key)?.kind === 'Failed') residency.retry(key);
      return residency.preload(key, signal);
    },
    pin: async (key, pinned) => residency.pin(key, pinned),
    evict: async (key, signal, options = { evenPinned: true }) => {
      mayLeave(key, options);
      await residency.evict(key, signal);
    },
    rollout: rolloutVerb,
    explain: (context, signal) => parts.explain(context, signal),
    trustCluster: () => parts.trustCluster(),
    confirmRemovals: () => parts.confirmRemovals(),
  };
  if (lora === undefined) return admin;
  const verbs = loraVerbs({
    ...lora,
    residency,
    demand,
    mayLeave,
    preload: (key, signal) => admin.preload(key, signal),
    evict: (key, signal) => residency.evict(key, signal),
  });
  return { ...admin, lora: verbs };
};
