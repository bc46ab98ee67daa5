import { objectKey } from '../../../api/names.ts';
import { isMirrored } from '../../../rollout/copies.ts';
import type { Candidate, ServingFacts } from '../../routing/decision.ts';
import type { ServedBy } from '../../routing/request.ts';
import { partsOf, type RoutingTable } from '../../routing/table.ts';
import type { MirrorTarget } from './copy.ts';

/** Which canaries get copies, by the plan in force and by what this node holds back. */
export class MirrorTargets {
  readonly #table: () => RoutingTable;
  readonly #facts: Pick<ServingFacts, 'isHeld'>;

  constructor(parts: { readonly table: () => RoutingTable; readonly facts: Pick<ServingFacts, 'isHeld'> }) {
    this.#table = parts.table;
    this.#facts = parts.facts;
  }

  /** The canary that gets a copy of this request; undefined: none does. */
  find(candidate: Candidate, served: ServedBy, id: string): MirrorTarget | undefined {
    if (candidate.kind !== 'adapter' || candidate.split === undefined || candidate.arm !== 'stable')
      return undefined;
    const split = this.#table().splits.get(candidate.split.key);
    if (split === undefined || split.body.uid !== candidate.split.uid) return undefined;
    const { uid, stable, canary, mirror = 0 } = split.body;
    // What answers for a stable that is held back here is not what the canary is compared with.
    if (mirror === 0 || canary === undefined || stable?.digest !== served.digest) return undefined;
    if (!isMirrored(canary.seed, id, mirror)) return undefined;
    const [namespace] = partsOf(split.name);
    return {
      rollout: split.name,
      uid,
      digest: canary.digest,
      attempt: canary.attempt,
      adapter: objectKey(namespace, canary.adapter),
    };
  }

  /** False once the plan mirrors nothing to it any more, or it is held. */
  isWanted({ rollout, uid, digest, attempt }: MirrorTarget): boolean {
    const { body } = this.#table().splits.get(rollout) ?? {};
    if (body?.uid !== uid || body.canary?.digest !== digest || body.canary.attempt !== attempt) return false;
    return (body.mirror ?? 0) > 0 && !this.#facts.isHeld(uid, digest);
  }
}
