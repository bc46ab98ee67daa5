import { cut, joinCapped } from '../../api/condition.ts';
import { type ObjectKey, objectKey } from '../../api/names.ts';
import type { PolicyObject } from '../../api/objects.ts';
import { policyName } from '../../api/policy.ts';
import type { Log } from '../../telemetry/log.ts';
import type { KeySecrets } from '../keys/key-secrets.ts';
import type { Read } from '../objects/objects.ts';
import type { Policies } from '../objects/policies.ts';
import { type Controller, type ControllerParts, type Requeue, soonest } from '../reconcile/controller.ts';
import { versionOf } from '../reconcile/fenced-writes.ts';
import { HeldBackNamespaces } from './held-back.ts';
import type { EventReason } from './reasons.ts';

export type PolicyParts = Pick<ControllerParts, 'recorder' | 'objects' | 'fleet' | 'clock'> & {
  readonly policies: Pick<Policies, 'namespace'>;
  readonly keys: Pick<KeySecrets, 'isClosed'>;
  readonly logger: Log;
};

/** Names of runtimes in an event. */
const maxNamed = 5;

/**
 * Tells of an AdapterPolicy that is not valid, or allows keys out of Secrets that nobody reads, by an event and in the log,
 * and of limits that hold namespaces back, by events: it has no status. What is in force is not decided here
 * (../objects/policies.ts).
 */
export class PolicyController implements Controller {
  readonly name = 'policy';
  readonly #parts: PolicyParts;
  /** What was said of each object, with its uid and generation. */
  readonly #said = new Map<ObjectKey, string>();
  readonly #heldBack = new HeldBackNamespaces();

  constructor(parts: PolicyParts) {
    this.#parts = parts;
  }

  readonly follow: Controller['follow'] = (enqueue) => {
    const { fleet, objects } = this.#parts;
    const { policies } = objects;
    for (const state of fleet.all()) this.#heldBack.look(state);
    const stop = policies.onChange(({ key }) => enqueue(key, 0));
    const stopFleet = fleet.onChange(({ runtime }) => {
      const state = fleet.get(runtime);
      if (state?.connected !== true) this.#heldBack.forget(runtime);
      else for (const namespace of this.#heldBack.look(state)) enqueue(this.#policyOf(namespace), 0);
    });
    for (const { key } of policies.list()) enqueue(key, 0);
    return () => {
      stop();
      stopFleet();
    };
  };

  readonly reconcile: Controller['reconcile'] = async (key) => {
    const read = this.#parts.objects.policies.get(key);
    if (read === undefined) {
      this.#said.delete(key);
      return {};
    }
    this.#tellProblems(key, read);
    return this.#tellHeldBack(key, read);
  };

  #tellProblems(key: ObjectKey, read: Read<PolicyObject>): void {
    const { logger, keys } = this.#parts;
    const { uid, generation, namespace = '' } = read.metadata;
    const problems = read.object === undefined ? read.problems.map(({ reason }) => reason) : [];
    const before = this.#said.get(key);
    const now = `${uid} ${generation} ${problems.join('; ')}`;
    if (now === before) return;
    this.#said.set(key, now);
    if (problems.length > 0) {
      const what = joinCapped(problems, 10, '; ');
      logger.warn(
        { policy: key, problems: what },
        'an AdapterPolicy is not valid; the last valid one stays in force',
      );
      this.#warn(read, 'InvalidSpec', `${what}; what was valid last stays in force`);
      return;
    }
    logger.info({ policy: key }, 'an AdapterPolicy is in force');
    if (read.object?.spec.clients.keysFromSecrets !== 'Allow' || !keys.isClosed(namespace)) return;
    logger.warn(
      { policy: key },
      'the operator may not read the Secrets of a namespace whose policy allows keys in them',
    );
    this.#warn(
      read,
      'SecretsNotRead',
      `spec.clients.keysFromSecrets: the operator may not read Secrets of ${namespace}: list it in credentials.namespaces of the chart`,
    );
  }

  /** Of the namespaces that the policy holds for. */
  #tellHeldBack(key: ObjectKey, read: Read<PolicyObject>): Requeue {
    const { clock } = this.#parts;
    const isMeant = (namespace: string): boolean => this.#policyOf(namespace) === key;
    const { told, afterMs } = this.#heldBack.take(isMeant, clock.monotonic());
    for (const { namespace, limit, refused, runtimes } of told) {
      const where = joinCapped([...runtimes], maxNamed, ', ');
      const note = `limits.${limit} refused ${refused} requests of namespace ${namespace} on ${where}`;
      this.#warn(read, 'LimitReached', note);
    }
    return soonest(afterMs);
  }

  #warn(read: Read<PolicyObject>, reason: EventReason, note: string): void {
    this.#parts.recorder.record({
      regarding: versionOf('AdapterPolicy', read),
      type: 'Warning',
      reason,
      note: cut(note, 1024),
      action: 'Observe',
    });
  }

  /** The policy that holds for a namespace, or would. */
  #policyOf(namespace: string): ObjectKey {
    const own = objectKey(namespace, policyName);
    const { objects, policies } = this.#parts;
    return objects.policies.get(own) === undefined ? objectKey(policies.namespace, policyName) : own;
  }
}
