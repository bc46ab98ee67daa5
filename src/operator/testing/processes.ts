import type { ObjectKey } from '../../api/names.ts';
import type { Clock } from '../../time/clock.ts';
import type { AdapterState, RolloutState, RuntimeKey, RuntimeState } from '../fleet/fleet.ts';
import { FleetStore, local } from '../fleet/store.ts';
import type { Change, Update } from '../fleet/update.ts';

type Facts = Pick<RuntimeState, 'kind' | 'info' | 'memory' | 'disk'>;
type Said = {
  readonly adapters: ReadonlyMap<ObjectKey, AdapterState>;
  readonly rollouts: ReadonlyMap<ObjectKey, RolloutState>;
  readonly ready: boolean;
};
type Process = Facts & {
  readonly instance: string;
  now: Said;
  /** What its streams have told. */
  told: Said;
  /** Undefined: it is cut off. */
  connectionSeq: bigint | undefined;
};

const nothing: Said = { adapters: new Map(), rollouts: new Map(), ready: true };

/** For tests: processes of runtimes that tell a real store what they have, by streams that break and begin anew. */
export class Processes {
  readonly store: FleetStore;
  readonly #clock: Clock;
  readonly #processes = new Map<RuntimeKey, Process>();
  #streams = 0n;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.store = new FleetStore({ clock });
  }

  /** What it has now, whether it told that or not. */
  of(key: RuntimeKey): Said | undefined {
    return this.#processes.get(key)?.now;
  }
  isConnected(key: RuntimeKey): boolean {
    return this.#processes.get(key)?.connectionSeq !== undefined;
  }

  /** A new process, in the place of the one of before, has a stream. */
  start(key: RuntimeKey, facts: Facts): void {
    const instance = `${key} ${this.#streams}`;
    this.#processes.set(key, { ...facts, instance, now: nothing, told: nothing, connectionSeq: undefined });
    this.dial(key);
  }

  /** Its next stream: where the store knows what the one of before told, that begins with what differs. */
  dial(key: RuntimeKey): void {
    const process = this.#processes.get(key);
    if (process === undefined) return;
    const { info, kind, instance, now, memory, disk } = process;
    this.#streams += 1n;
    process.connectionSeq = this.#streams;
    const update: Update = { key, kind, instance, connectionSeq: this.#streams };
    const resumes = this.store.kept(update, info);
    const change =
      resumes === undefined
        ? { ...differenceOf(nothing, now), whole: true, memory, disk, ready: readiness(now) }
        : differenceOf(process.told, now);
    const opened = { info, connectedAt: this.#clock.now() };
    const isTaken = this.store.update(local, { ...update, opened, change, ...(resumes && { resumes }) });
    if (!isTaken) throw new Error(`the store did not take the stream ${this.#streams} of ${key}`);
    process.told = now;
  }

  cut(key: RuntimeKey): void {
    const process = this.#processes.get(key);
    if (process?.connectionSeq === undefined) return;
    this.store.gone(local, key, process.connectionSeq);
    process.connectionSeq = undefined;
  }

  /** It has something else from now on, and tells it where it can. */
  say(key: RuntimeKey, more: Partial<Said>): void {
    const process = this.#processes.get(key);
    if (process === undefined) return;
    process.now = { ...process.now, ...more };
    const { kind, instance, connectionSeq, told, now } = process;
    if (connectionSeq === undefined) return;
    this.store.update(local, { key, kind, instance, connectionSeq, change: differenceOf(told, now) });
    process.told = now;
  }
}

const readiness = ({ ready: ok }: Said): Change['ready'] & {} => ({ ok, message: '' });

const differenceOf = (then: Said, now: Said): Change => ({
  whole: false,
  adapters: changed(then.adapters, now.adapters),
  gone: goneFrom(then.adapters, now.adapters),
  rollouts: changed(then.rollouts, now.rollouts),
  goneRollouts: goneFrom(then.rollouts, now.rollouts),
  ...(then.ready === now.ready ? {} : { ready: readiness(now) }),
});

const changed = <T>(then: ReadonlyMap<ObjectKey, T>, now: ReadonlyMap<ObjectKey, T>): Map<ObjectKey, T> =>
  new Map([...now].filter(([key, value]) => then.get(key) !== value));

const goneFrom = (then: ReadonlyMap<ObjectKey, unknown>, now: ReadonlyMap<ObjectKey, unknown>): ObjectKey[] =>
  [...then.keys()].filter((key) => !now.has(key));
