import type { Digest } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Clock } from '../../../time/clock.ts';
import { dropFirst, type There } from './deadly-inputs.ts';
import { Turns } from './turns.ts';

/** How long, in milliseconds, an end of the engine is remembered, and a caller is refused. */
const knownMs = 600_000;
/** Callers, and versions, that are remembered; what was there longest ago is forgotten first. */
const maxRemembered = 1000;
/** Ends of the engine, each by other inputs, after which a caller that others are there beside runs apart from them. */
const apartAfter = 3;
/** Callers run apart in so many groups. */
const groups = 8;
/** Milliseconds that a turn of a caller takes at most. */
const turnMs = 10_000;

/** The last end of the engine that these inputs of a caller were there at. */
type Ended = There & { readonly at: number };

type Known = {
  /** Of the last ten minutes, each with inputs that were not there at the ones before; the latest last. */
  readonly ends: readonly Ended[];
  /** At the last of at least two nobody else was there: when that was. */
  readonly foundAt?: number;
};

type Asked = { readonly who: string; readonly at: number };

/**
 * Callers who end the engine, or stall it until it is killed, with another input each time: {@link DeadlyInputs} never sees one of them again.
 * A caller is a credential, and its tenant and user; all without a credential are one, who is never refused.
 *
 * Guarantees: a caller is refused for ten minutes once the engine worked on inputs of his at two of its ends within ten minutes, other ones
 * each time, and at the last one on nobody else's; who is the only one that asks this node is not, as it would help nobody. Callers who were there
 * at three such ends beside each other run apart from then on, for ten minutes after the last end: an eighth of them at a time, up to eight of
 * them one by one, each for 10 seconds at most; a request of theirs waits 80 seconds at most, and others for nobody. When the engine ends then,
 * those of them that were not there run as before. What a version does counts against no caller: one that is taken out of service, or that two callers
 * are found with and no other.
 *
 * Caveats: what takes longer than a turn to end the engine may end it beside others, and then is found later, or never.
 */
export class DeadlyCallers {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #turns: Turns;
  /** By who, the latest last. */
  readonly #known = new Map<string, Known>();
  /** Versions that ended the engine, whoever asked, and when they were last there, the latest last. */
  readonly #versions = new Map<Digest, number>();
  #apart: ReadonlySet<string> = new Set();
  #endedAt = Number.NEGATIVE_INFINITY;
  /** The last one that asked, and the last one before that was another. */
  #last: Asked | undefined;
  #other: Asked | undefined;

  constructor(clock: Pick<Clock, 'monotonic' | 'after'>) {
    this.#clock = clock;
    this.#turns = new Turns(clock);
  }

  /** The caller asks. @throws CALLER_ENDS_ENGINE */
  check(who: string): void {
    if (this.#last !== undefined && this.#last.who !== who) this.#other = this.#last;
    this.#last = { who, at: this.#clock.monotonic() };
    this.#refuse(who);
  }

  /**
   * Waits for a turn, if the caller runs apart; undefined: he does not. The result is to be called when the request is over.
   * @throws CALLER_ENDS_ENGINE, or the reason of the signal
   */
  async turn(who: string, signal: AbortSignal): Promise<(() => void) | undefined> {
    if (!this.#isKnown(this.#endedAt) || !this.#apart.has(who)) return undefined;
    const end = await this.#turns.take(turnMs, signal, who);
    try {
      this.#refuse(who);
    } catch (error) {
      end();
      throw error;
    }
    return end;
  }

  /** The engine ended. Where a canary was there, that is tried first: to be called where none was. */
  engineDied(there: ReadonlyMap<string, There>): void {
    if (there.size === 0 || this.#isOfVersion(there)) return;
    const at = this.#clock.monotonic();
    if (!this.#isKnown(this.#endedAt)) this.#runApart([]);
    this.#endedAt = at;
    for (const [who, one] of there) {
      const before = this.#known.get(who);
      const ends = [...this.#others(before, one), { at, ...one }].slice(-apartAfter);
      const isFound = who !== '' && there.size === 1 && ends.length > 1;
      const foundAt = isFound ? at : before?.foundAt;
      this.#known.delete(who);
      this.#known.set(who, foundAt === undefined ? { ends } : { ends, foundAt });
    }
    dropFirst(this.#known, maxRemembered);
    const version = this.#sharedByFound();
    if (version !== undefined) this.held(version);
    else this.#separate(there);
  }

  /** A version ended the engine, or was taken out of service and may have, whoever asked for it. */
  held(digest: Digest): void {
    this.#versions.delete(digest);
    this.#versions.set(digest, this.#clock.monotonic());
    dropFirst(this.#versions, maxRemembered);
    for (const [who, { ends }] of this.#known)
      if (ends.some(({ versions }) => versions.has(digest))) this.#known.delete(who);
    this.#runApart([...this.#apart].filter((who) => this.#known.has(who)));
  }

  /** It counts as another end of what is known to end it. */
  #isOfVersion(there: ReadonlyMap<string, There>): boolean {
    const known = [...there.values()]
      .flatMap(({ versions }) => [...versions])
      .filter((digest) => this.#isKnown(this.#versions.get(digest) ?? Number.NEGATIVE_INFINITY));
    for (const digest of known) this.#versions.set(digest, this.#clock.monotonic());
    return known.length > 0;
  }

  /** The version that two callers were found with, and with no other one. */
  #sharedByFound(): Digest | undefined {
    const seen = new Set<Digest>();
    for (const { ends, foundAt } of this.#known.values()) {
      if (foundAt === undefined || !this.#isKnown(foundAt)) continue;
      const [version, ...others] = new Set(ends.flatMap(({ versions }) => [...versions]));
      if (version === undefined || others.length > 0) continue;
      if (seen.has(version)) return version;
      seen.add(version);
    }
    return undefined;
  }

  /** Ends that are known, but for those with the same inputs: one that comes again is one. */
  #others(known: Known | undefined, { keys }: There): readonly Ended[] {
    const ends = known?.ends ?? [];
    return ends.filter((end) => this.#isKnown(end.at) && ![...end.keys].some((key) => keys.has(key)));
  }

  #separate(there: ReadonlyMap<string, unknown>): void {
    const again = [...this.#apart].filter((who) => there.has(who));
    const cleared = again.length > 0 ? [...this.#apart].filter((who) => !there.has(who)) : [];
    for (const who of cleared) if (!this.#isFound(who)) this.#known.delete(who);
    const more = [...there.keys()].filter((who) => this.#known.get(who)?.ends.length === apartAfter);
    this.#runApart([...(again.length > 0 ? again : this.#apart), ...more]);
  }

  #runApart(whos: readonly string[]): void {
    this.#apart = new Set(whos);
    this.#turns.places = Math.max(1, Math.ceil(this.#apart.size / groups));
  }

  #refuse(who: string): void {
    const known = this.#known.get(who);
    if (known?.foundAt === undefined || !this.#isFound(who) || !this.#othersAsk(who)) return;
    const retryAfterMs = known.foundAt + knownMs - this.#clock.monotonic();
    const minutes = Math.ceil(retryAfterMs / 60_000);
    throw new AdaptletError(
      'CALLER_ENDS_ENGINE',
      `The engine ended ${known.ends.length} times within ten minutes while it worked on inputs of this caller, other ones each time; the caller is refused for ${minutes} minutes`,
      { retryAfterMs },
    );
  }

  #isFound(who: string): boolean {
    return this.#isKnown(this.#known.get(who)?.foundAt ?? Number.NEGATIVE_INFINITY);
  }

  #othersAsk(who: string): boolean {
    return [this.#last, this.#other].some(
      (asked) => asked !== undefined && asked.who !== who && this.#isKnown(asked.at),
    );
  }

  #isKnown(at: number): boolean {
    return this.#clock.monotonic() - at < knownMs;
  }
}
