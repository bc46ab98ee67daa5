import type { ObjectKey } from '../../api/names.ts';
import type { RolloutObject } from '../../api/objects.ts';
import { keyOf } from '../../api/references.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Clock } from '../../time/clock.ts';
import type { BroughtAdapters } from '../admin/lora.ts';
import type { DecidedRollout, PlanSource } from '../plan-source/plan-source.ts';
import type { StandaloneController } from './controller.ts';
import { followFolder } from './follow.ts';
import { rolloutVerb, type VerbParts } from './verbs.ts';

export type StandaloneParts = {
  readonly controller: StandaloneController;
  readonly holds: VerbParts['holds'];
  /** Forgets why an adapter failed, so that it is tried again. */
  readonly retryAdapter: (key: ObjectKey) => void;
  readonly clock: Clock;
  /** Absent: the last plan stays in force. */
  readonly manifests: string | undefined;
  readonly namespace: string;
  /** Absent: what is in the folder is all there is. */
  readonly brought?: BroughtAdapters | undefined;
};

/** Milliseconds in which counts of copies are gathered before a status says them. */
const mirroredMs = 2000;

const noOperator = async (): Promise<never> => {
  throw new AdaptletError('VERB_REFUSED', 'this node follows no operator');
};

/** A folder of manifests, decided about on this node. */
export const standaloneSource = (parts: StandaloneParts): PlanSource => {
  const { controller, clock, manifests, namespace, brought } = parts;
  let watch: Disposable | undefined;
  let cancelLook: (() => void) | undefined;
  return {
    rollouts: () => controller.rollouts().map(decided),
    verb: async (key, verb) => decided(await rolloutVerb(parts, key, verb)),
    report: () => ({ manifests: { folder: manifests ?? '', ...controller.folderReport() } }),
    wake: () => controller.wake(),
    counted: () => undefined,
    mirrored: () => {
      cancelLook ??= clock.after(mirroredMs, () => {
        cancelLook = undefined;
        controller.wake();
      });
    },
    resume: () => void controller.reconcile(),
    saved: () => controller.saved(),
    follow: async () => {
      if (manifests === undefined) return;
      watch = await followFolder(manifests, { controller, clock, namespace });
    },
    close: async () => {
      watch?.[Symbol.dispose]();
      cancelLook?.();
      controller.close();
    },
    trustCluster: noOperator,
    confirmRemovals: noOperator,
    ...(brought === undefined ? {} : { brought }),
  };
};

const decided = (rollout: RolloutObject): DecidedRollout => {
  const { status, metadata } = rollout;
  const { step } = status ?? {};
  return {
    key: keyOf(rollout),
    uid: metadata.uid,
    phase: status?.phase ?? 'Progressing',
    message: status?.message ?? '',
    stable: status?.stable?.adapter ?? '',
    canary: status?.canary?.adapter ?? '',
    step: step === undefined ? '' : `${Math.min(step.index + 1, step.total)}/${step.total}`,
    weight: status?.weights.canary ?? 0,
    stableDigest: status?.stable?.digest,
    canaryDigest: status?.canary?.digest,
    object: rollout,
  };
};
