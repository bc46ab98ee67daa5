import { isDigest, nameSchema, namespaceSchema, objectKey } from '../../api/names.ts';
import { revisionFromWire } from '../../control/revision.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import {
  type Identity,
  Identity_Kind,
  type RelayRequest,
  type RuntimeReport,
} from '../../gen/adaptlet/control/v1/control.ts';
import type { RuntimeKey } from './fleet.ts';
import { HeardExamples } from './relay-examples.ts';
import type { FleetStore, Source } from './store.ts';
import { changeFromWire, refusedFromWire, type Update } from './update.ts';

/**
 * Takes in what one stream of another replica tells, message by message.
 * @throws HELLO_INVALID
 */
export class RelayedRuntimes {
  readonly #fleet: FleetStore;
  readonly #source: Source;
  readonly #examples = new HeardExamples();
  /** Milliseconds for which its runtimes have lacked something of their plans; undefined: it never told. */
  #lacking: Readonly<Record<string, number>> | undefined;
  #greeted = false;

  constructor(fleet: FleetStore, source: Source) {
    this.#fleet = fleet;
    this.#source = source;
  }

  take({ message }: RelayRequest): void {
    if (message?.$case === 'hello') {
      this.#greeted = true;
      return;
    }
    if (!this.#greeted) throw new AdaptletError('HELLO_INVALID', 'the relay does not begin with a Hello');
    if (message?.$case === 'runtime') this.#fleet.update(this.#source, this.#updateFrom(message.value));
    else if (message?.$case === 'gone') this.#fleet.gone(this.#source, keyFrom(message.value));
    else if (message?.$case === 'planAges') this.#lacking = message.value.lackingMs;
  }

  /** For how many milliseconds each of its runtimes has lacked something of its plan, as it told last. */
  *planAges(): Iterable<readonly [RuntimeKey, number]> {
    if (this.#lacking === undefined) return;
    for (const { key } of this.#fleet.heldBy(this.#source)) yield [key, this.#lacking[key] ?? 0];
  }

  #updateFrom(wire: RuntimeReport): Update {
    const update = updateFromWire(wire);
    if (update.change === undefined) return update;
    const change = this.#examples.complete(wire, update.change);
    this.#examples.hear(wire, change);
    return { ...update, change };
  }

  /** The stream is over. */
  close(): void {
    this.#fleet.lost(this.#source);
  }
}

const updateFromWire = (wire: RuntimeReport): Update => {
  const { identity, info, report, acknowledged, refused } = wire;
  return {
    key: keyFrom(identity),
    kind: identity?.kind === Identity_Kind.NODE ? 'Node' : 'Pod',
    instance: wire.instance,
    connectionSeq: wire.connectionSeq,
    ...(info === undefined ? {} : { opened: openedFrom(info) }),
    ...(report === undefined ? {} : { change: changeFromWire(report) }),
    ...(acknowledged === undefined ? {} : { acknowledged: revisionFromWire(acknowledged) }),
    refused: refusedFromWire(refused),
  };
};

const openedFrom = ({ connectedAt, baseDigest, ...info }: NonNullable<RuntimeReport['info']>) => {
  const at = Date.parse(connectedAt);
  return {
    connectedAt: Number.isNaN(at) ? 0 : at,
    info: { ...info, baseDigest: isDigest(baseDigest) ? baseDigest : ('' as const) },
  };
};

const keyFrom = (identity: Identity | undefined): RuntimeKey => {
  const { namespace = '', name = '' } = identity ?? {};
  if (namespaceSchema.safeParse(namespace).success && nameSchema.safeParse(name).success) {
    return objectKey(namespace, name);
  }
  throw new AdaptletError('HELLO_INVALID', 'the relay tells of a runtime without a name');
};
