import { createHash } from 'node:crypto';
import { serialize } from 'node:v8';
import type { Digest } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Clock } from '../../../time/clock.ts';
import type { WorkAtEnd } from '../../engine/engine.ts';
import type { RequestContext, ServedBy } from '../../routing/request.ts';
import { Turns } from './turns.ts';

/** How long, in milliseconds, after an end of the engine an input is a suspect, or is refused. */
const knownMs = 600_000;
/** Inputs that are remembered; the one that was there longest ago is forgotten first. */
const maxRemembered = 1000;
/** Requests whose callers left that are remembered; the one that was left first is forgotten first. */
export const maxLeft = 10_000;
/** Suspects come back in so many groups, one after the other. */
const groups = 8;
/** Milliseconds that a turn takes at most, for each end of the engine that the suspect was there at. */
const turnMs = 10_000;
/** Events that may have been on their way when the engine ended: a step that guesses tokens gives at most so many. */
const onTheirWay = 9;

/** What a caller sends, whoever answers it. The same again is the same input. */
export class Input {
  readonly namespace: string;
  /** Who sends it; '' for all without a credential, who cannot be told apart. */
  readonly who: string;
  readonly #of: readonly unknown[];
  #key: string | undefined;

  constructor({ namespace, caller = '', tenant, user }: RequestContext, request: unknown) {
    this.namespace = namespace;
    this.who = caller === '' ? '' : JSON.stringify([namespace, caller, tenant, user]);
    this.#of = [namespace, caller, tenant, user, request];
  }

  /** Made when something asks for it: hardly anything does while no engine ends and no caller leaves. */
  get key(): string {
    return (this.#key ??= createHash('sha256').update(serialize(this.#of)).digest('hex'));
  }
}

/** What is known of an end of the engine. */
export type EngineDeath = {
  /** An input had ended it before, for another version: then no version did. */
  readonly isOfInput: boolean;
  /** Names in the engine of the versions that the suspects ran with, null for the base model. */
  readonly versions: ReadonlySet<string | null>;
  /** Whose inputs were there, suspects before or not. */
  readonly callers: ReadonlyMap<string, There>;
  /** A canary was there, which answered a request or had a copy of one. */
  readonly hasCanary: boolean;
};

/** Inputs of one caller that the engine worked on. */
export type There = {
  readonly keys: ReadonlySet<string>;
  /** That they ran with. */
  readonly versions: ReadonlySet<Digest>;
};

/** An input that the engine worked on when it ended. */
type Suspect = {
  /** Ends of the engine that it was there at, and when the last one was. */
  readonly ends: number;
  readonly at: number;
  readonly versions: ReadonlySet<Digest>;
  /** By answer to it that the engine worked on, the events that had come. */
  readonly places: ReadonlyMap<number, number>;
  /** It was the only suspect that was there again. */
  readonly isFound: boolean;
};

/** What answers. */
type Version = Pick<ServedBy, 'digest' | 'arm'>;

/** A request that the engine has. */
type Given = {
  readonly version: Version;
  /** Of its answers, in the engine. */
  readonly ids: readonly string[];
};

/** One whose caller is there. */
type Awaited = Given & {
  /** Events of each of its answers that were heard. */
  readonly heard: number[];
};

/** An input, without what it says, which takes memory. */
type Known = Pick<Input, 'key' | 'who'>;

/** What the engine worked on of an input, in all requests that are the same. */
type InputThere = Known & {
  readonly before: Suspect | undefined;
  readonly versions: Set<Digest>;
  readonly engineNames: Set<string | null>;
  hasCanary: boolean;
  readonly places: Map<number, number>;
};

/**
 * Inputs that end the engine, or stall it until it is killed, with their prompt or with any token of their answers. Who did it is
 * not known: suspects are all that the engine worked on, such as those of a step that share it. They are tried apart: they come back an
 * eighth of them at a time, each until it is further than it was when the engine ended. When it ends again, only those that are there again
 * are still suspects; who is the only one is found.
 *
 * Guarantees: an input is refused for ten minutes once it was there at an end of the engine, and was the only suspect that was there
 * at a later one; of at most eight suspects that is the second end. One that came further, or was answered, is none any more. A suspect waits 80
 * seconds at most, others for nobody. Whoever leaves while the engine works on his input is a suspect like the others. A turn takes 10 seconds at most, 20 after the second end, and so on: what takes longer to get where it ends the engine
 * takes more ends to be found. 1,000 suspects are remembered, each by its hash and a number for each answer that ran, and the last 10,000
 * requests whose callers left.
 *
 * Caveats: an input that another one ends the engine beside, after it was a suspect and before it is further, is refused too.
 */
export class DeadlyInputs {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #turns: Turns;
  readonly #given = new Map<Input, Awaited>();
  /** Those whose callers left: the engine may work on them. */
  readonly #left = new Map<Known, Given>();
  /** By key, the latest last. */
  readonly #suspects = new Map<string, Suspect>();
  /** Ends the turn of one that has it. */
  readonly #endTurn = new Map<Input, () => void>();

  constructor(clock: Pick<Clock, 'monotonic' | 'after'>) {
    this.#clock = clock;
    this.#turns = new Turns(clock);
  }

  /** @throws INPUT_ENDS_ENGINE */
  check(input: Input): void {
    const suspect = this.#suspectOf(input);
    if (suspect?.isFound !== true) return;
    const retryAfterMs = suspect.at + knownMs - this.#clock.monotonic();
    const minutes = Math.ceil(retryAfterMs / 60_000);
    throw new AdaptletError(
      'INPUT_ENDS_ENGINE',
      `The engine ended ${suspect.ends} times while it worked on this input; it is refused for ${minutes} minutes`,
      { retryAfterMs },
    );
  }

  /**
   * Waits for a turn, if the input is a suspect. The result is to be called when the request is over.
   * @throws INPUT_ENDS_ENGINE, or the reason of the signal
   */
  async turn(input: Input, signal: AbortSignal): Promise<() => void> {
    const suspect = this.#suspectOf(input);
    if (suspect === undefined) return () => undefined;
    const end = await this.#turns.take(turnMs * suspect.ends, signal);
    try {
      this.check(input);
    } catch (error) {
      end();
      throw error;
    }
    // Another one was found meanwhile, or the same input came further: those behind need not wait for it.
    if (this.#suspectOf(input) === undefined) end();
    else this.#endTurn.set(input, end);
    return () => {
      this.#endTurn.delete(input);
      end();
    };
  }

  /**
   * The engine is given a request, for this version to answer, under these ids; the result is to be called when it is over, with
   * whether its caller left.
   */
  given(input: Input, { digest, arm }: Version, ids: readonly string[]): (hasLeft: boolean) => void {
    const version = { digest, arm };
    this.#given.set(input, { version, ids, heard: ids.map(() => 0) });
    return (hasLeft) => {
      // It was answered, or the engine ended.
      if (!this.#given.delete(input) || !hasLeft) return;
      this.#left.set({ key: input.key, who: input.who }, { version, ids });
      dropFirst(this.#left, maxLeft);
    };
  }

  /** An event of one of the answers came, by its place among the ids; `isLast`: that one is complete. */
  heard(input: Input, answer: number, isLast: boolean): void {
    const heard = this.#given.get(input)?.heard;
    if (heard === undefined) return;
    heard[answer] = isLast ? Number.POSITIVE_INFINITY : (heard[answer] ?? 0) + 1;
    const suspect = this.#suspectOf(input);
    if (suspect === undefined) return;
    const isFurther = [...suspect.places].every(([of, events]) => (heard[of] ?? 0) > events + onTheirWay);
    if (isFurther) this.#clear(input);
  }

  /** All of it was answered. */
  answered(input: Input): void {
    this.#given.delete(input);
    this.#clear(input);
  }

  #clear(input: Input): void {
    if (this.#suspectOf(input) === undefined) return;
    this.#suspects.delete(input.key);
    this.#endTurn.get(input)?.();
  }

  /** The engine ended. */
  engineDied(work: WorkAtEnd): EngineDeath {
    const { there, copies } = this.#thereAt(work);
    this.#given.clear();
    this.#left.clear();
    const again = there.filter(({ before }) => before !== undefined);
    const suspects = again.length > 0 ? again : there;
    const [only, ...others] = suspects;
    const isFound = again.length > 0 && others.length === 0;
    this.#clearThoseBeside(again);
    const at = this.#clock.monotonic();
    for (const { key, before, versions, places } of suspects) {
      const ends = (before?.ends ?? 0) + 1;
      this.#suspects.delete(key);
      this.#suspects.set(key, {
        ends,
        at,
        places,
        isFound,
        versions: new Set([...(before?.versions ?? []), ...versions]),
      });
    }
    dropFirst(this.#suspects, maxRemembered);
    if (suspects.length > 0) this.#turns.places = Math.ceil(suspects.length / groups);
    const engineNames =
      again.length > 0 ? again.flatMap((one) => [...one.engineNames]) : [...work.values()].map(engineNameOf);
    return {
      isOfInput: isFound && only !== undefined && isOfAnother(only),
      versions: new Set(engineNames),
      callers: byWho(there),
      hasCanary: there.some(({ hasCanary }) => hasCanary) || copies > 0,
    };
  }

  /** What nobody sent is a copy for a canary. */
  #thereAt(work: WorkAtEnd): { readonly there: readonly InputThere[]; readonly copies: number } {
    const there = new Map<string, InputThere>();
    let copies = work.size;
    for (const [input, { version, ids }] of [...this.#given, ...this.#left]) {
      for (const [answer, id] of ids.entries()) {
        const ran = work.get(id);
        if (ran === undefined) continue;
        copies -= 1;
        const { key } = input;
        const one = there.get(key) ?? this.#newThere(input);
        there.set(key, one);
        one.versions.add(version.digest);
        one.hasCanary ||= version.arm === 'canary';
        one.engineNames.add(ran.engineName);
        one.places.set(answer, Math.max(ran.events, one.places.get(answer) ?? 0));
      }
    }
    return { there: [...there.values()], copies };
  }

  #newThere({ key, who }: Known): InputThere {
    const before = this.#suspectOf({ key });
    const [versions, engineNames] = [new Set<Digest>(), new Set<string | null>()];
    return { key, who, before, versions, engineNames, hasCanary: false, places: new Map() };
  }

  /** Who was a suspect of the same end, and was not there again, did not end it. */
  #clearThoseBeside(again: readonly InputThere[]): void {
    const keys = new Set(again.map(({ key }) => key));
    const ends = new Set(again.map(({ before }) => before?.at));
    for (const [key, { at, isFound }] of this.#suspects)
      if (ends.has(at) && !isFound && !keys.has(key)) this.#suspects.delete(key);
  }

  #suspectOf(input: Pick<Input, 'key'>): Suspect | undefined {
    if (this.#suspects.size === 0) return undefined;
    const suspect = this.#suspects.get(input.key);
    return suspect !== undefined && this.#clock.monotonic() - suspect.at < knownMs ? suspect : undefined;
  }
}

/** Drops the ones that came first, until there are at most `max`. */
export const dropFirst = <Key>(of: Map<Key, unknown>, max: number): void => {
  for (const key of of.keys()) {
    if (of.size <= max) return;
    of.delete(key);
  }
};

const engineNameOf = ({ engineName }: { readonly engineName: string | null }): string | null => engineName;

/** It ended the engine before for another version than now. */
const isOfAnother = ({ before, versions }: InputThere): boolean =>
  [...(before?.versions ?? [])].some((former) => [...versions].some((version) => version !== former));

const byWho = (inputs: readonly InputThere[]): ReadonlyMap<string, There> => {
  const of = new Map<string, { keys: Set<string>; versions: Set<Digest> }>();
  for (const { who, key, versions } of inputs) {
    const before = of.get(who);
    of.set(who, {
      keys: new Set([...(before?.keys ?? []), key]),
      versions: new Set([...(before?.versions ?? []), ...versions]),
    });
  }
  return of;
};
