import type { ObjectKey } from '../../api/names.ts';
import { KeyedMutex } from '../../artifact/keyed-mutex.ts';
import { AdaptletError, asAdaptletError } from '../../errors/adaptlet-error.ts';
import type { Residency } from '../residency/manager.ts';
import type { Demand } from '../serving/demand.ts';

/** Adapters that callers bring, beside those that the plan has from elsewhere. */
export type BroughtAdapters = {
  /**
   * The plan has it from then on, also after a restart.
   * @throws REQUEST_INVALID when it was brought already; VERB_REFUSED, SOURCE_NOT_ALLOWED, ARTIFACT_NOT_FOUND
   */
  add(key: ObjectKey, path: string, signal: AbortSignal): Promise<void>;
  /**
   * The plan no longer has it.
   * @throws MODEL_NOT_FOUND; VERB_REFUSED when it was not brought, or a rollout uses it
   */
  remove(key: ObjectKey, signal: AbortSignal): Promise<void>;
};

/** What vLLM's calls do with a LoRA adapter; those for one adapter are done one after the other. */
export type LoraVerbs = {
  /** To Resident; waits until it is. What does not become so leaves nothing behind. @throws as {@link BroughtAdapters.add} */
  load(key: ObjectKey, path: string, signal: AbortSignal): Promise<void>;
  /** @throws as {@link BroughtAdapters.remove}; VERB_REFUSED with `evenPinned` false for a pinned one */
  unload(key: ObjectKey, signal: AbortSignal, options: EvenPinned): Promise<void>;
};

type EvenPinned = { readonly evenPinned: boolean };

export type LoraParts = {
  /** Undefined: the plan comes from elsewhere as a whole. */
  readonly brought: BroughtAdapters | undefined;
  readonly residency: Pick<Residency, 'state'>;
  readonly demand?: Demand | undefined;
  readonly preload: (key: ObjectKey, signal: AbortSignal) => Promise<void>;
  readonly evict: (key: ObjectKey, signal: AbortSignal) => Promise<void>;
  /** @throws VERB_REFUSED for one that may not be taken out */
  readonly mayLeave: (key: ObjectKey, options: EvenPinned) => void;
};

/** With a plan from elsewhere these bring what it has into RAM, and out of it; its names stay as they are. */
export const loraVerbs = ({ brought, residency, demand, preload, evict, mayLeave }: LoraParts): LoraVerbs => {
  // A load that fails takes back what it brought, and never what a later one did.
  const verbs = new KeyedMutex<ObjectKey>();
  const ofPlan = async (key: ObjectKey, signal: AbortSignal): Promise<void> => {
    if (residency.state(key) === undefined && (await demand?.bring(key, signal)) !== 'here') {
      throw new AdaptletError('VERB_REFUSED', `the plan of this node has no Adapter ${key}`, {
        advice:
          'Apply an Adapter of this name in the cluster and load it again: the plan of this node comes from there. A node with a folder of manifests takes any folder below its import roots.',
      });
    }
    await preload(key, signal);
  };
  const bring = async (
    from: BroughtAdapters,
    key: ObjectKey,
    path: string,
    signal: AbortSignal,
  ): Promise<void> => {
    await from.add(key, path, signal);
    try {
      await preload(key, signal);
    } catch (error) {
      await withdraw(from, key, error);
      throw error;
    }
  };
  return {
    load: (key, path, signal) =>
      verbs.runExclusive(
        key,
        () => (brought === undefined ? ofPlan(key, signal) : bring(brought, key, path, signal)),
        signal,
      ),
    unload: (key, signal, options) =>
      verbs.runExclusive(
        key,
        async () => {
          mayLeave(key, options);
          await (brought === undefined ? evict(key, signal) : brought.remove(key, signal));
        },
        signal,
      ),
  };
};

/** The caller may be gone by then, so its signal does not count. */
const withdraw = async (brought: BroughtAdapters, key: ObjectKey, why: unknown): Promise<void> => {
  try {
    await brought.remove(key, new AbortController().signal);
  } catch (error) {
    const { code, what, advice } = asAdaptletError(why, `loading ${key}`);
    const stays = error instanceof Error ? error.message : String(error);
    throw new AdaptletError(code, `${what}; the plan still has it: ${stays}`, { advice, cause: why });
  }
};
