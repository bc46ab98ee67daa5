import { cut, joinCapped } from '../../api/condition.ts';
import type { ObjectKey } from '../../api/names.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Controller, ControllerParts } from '../reconcile/controller.ts';
import { versionOf } from '../reconcile/fenced-writes.ts';
import type { EventReason } from './reasons.ts';

export type PolicyParts = Pick<ControllerParts, 'recorder' | 'objects'> & { readonly logger: Log };

/**
 * Tells of an AdapterPolicy that is not valid, by an event and in the log: it has no status. What is in force is not
 * decided here (../objects/policies.ts).
 */
export class PolicyController implements Controller {
  readonly name = 'policy';
  readonly #parts: PolicyParts;
  /** What was said of each object, with its uid and generation. */
  readonly #said = new Map<ObjectKey, string>();

  constructor(parts: PolicyParts) {
    this.#parts = parts;
  }

  readonly follow: Controller['follow'] = (enqueue) => {
    const { policies } = this.#parts.objects;
    const stop = policies.onChange(({ key }) => enqueue(key, 0));
    for (const { key } of policies.list()) enqueue(key, 0);
    return stop;
  };

  readonly reconcile: Controller['reconcile'] = async (key) => {
    const { objects, recorder, logger } = this.#parts;
    const read = objects.policies.get(key);
    if (read === undefined) {
      this.#said.delete(key);
      return {};
    }
    const { uid, generation } = read.metadata;
    const problems = read.object === undefined ? read.problems.map(({ reason }) => reason) : [];
    const before = this.#said.get(key);
    const now = `${uid} ${generation} ${problems.join('; ')}`;
    if (now === before) return {};
    this.#said.set(key, now);
    if (problems.length === 0) {
      logger.info({ policy: key }, 'an AdapterPolicy is in force');
      return {};
    }
    const what = joinCapped(problems, 10, '; ');
    logger.warn(
      { policy: key, problems: what },
      'an AdapterPolicy is not valid; the last valid one stays in force',
    );
    const reason: EventReason = 'InvalidSpec';
    recorder.record({
      regarding: versionOf('AdapterPolicy', read),
      type: 'Warning',
      reason,
      note: cut(`${what}; what was valid last stays in force`, 1024),
      action: 'Observe',
    });
    return {};
  };
}
