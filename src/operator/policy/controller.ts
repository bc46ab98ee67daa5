import { cut, joinCapped } from '../../api/condition.ts';
import type { ObjectKey } from '../../api/names.ts';
import type { Log } from '../../telemetry/log.ts';
import type { KeySecrets } from '../keys/key-secrets.ts';
import type { Controller, ControllerParts } from '../reconcile/controller.ts';
import { versionOf } from '../reconcile/fenced-writes.ts';
import type { EventReason } from './reasons.ts';

export type PolicyParts = Pick<ControllerParts, 'recorder' | 'objects'> & {
  readonly keys: Pick<KeySecrets, 'isClosed'>;
  readonly logger: Log;
};

/**
 * Tells of an AdapterPolicy that is not valid, or allows keys out of Secrets that nobody reads, by an event and in the log: it has no status. What is in force is not
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
    const { objects, recorder, logger, keys } = this.#parts;
    const read = objects.policies.get(key);
    if (read === undefined) {
      this.#said.delete(key);
      return {};
    }
    const { uid, generation, namespace = '' } = read.metadata;
    const problems = read.object === undefined ? read.problems.map(({ reason }) => reason) : [];
    const before = this.#said.get(key);
    const now = `${uid} ${generation} ${problems.join('; ')}`;
    if (now === before) return {};
    this.#said.set(key, now);
    const tell = (reason: EventReason, note: string): void =>
      recorder.record({
        regarding: versionOf('AdapterPolicy', read),
        type: 'Warning',
        reason,
        note: cut(note, 1024),
        action: 'Observe',
      });
    if (problems.length > 0) {
      const what = joinCapped(problems, 10, '; ');
      logger.warn(
        { policy: key, problems: what },
        'an AdapterPolicy is not valid; the last valid one stays in force',
      );
      tell('InvalidSpec', `${what}; what was valid last stays in force`);
      return {};
    }
    logger.info({ policy: key }, 'an AdapterPolicy is in force');
    if (read.object?.spec.clients.keysFromSecrets === 'Allow' && keys.isClosed(namespace)) {
      logger.warn(
        { policy: key },
        'the operator may not read the Secrets of a namespace whose policy allows keys in them',
      );
      tell(
        'SecretsNotRead',
        `spec.clients.keysFromSecrets: the operator may not read Secrets of ${namespace}: list it in credentials.namespaces of the chart`,
      );
    }
    return {};
  };
}
