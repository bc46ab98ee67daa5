import type { Digest } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Clock } from '../../../time/clock.ts';
import { dropFirst, type Suspected } from './deadly-inputs.ts';
import { Turns } from './turns.ts';

/** How long, in milliseconds, an end of the engine is remembered, and a caller is refused. */
const knownMs = 600_000;
/** Callers that are remembered; the one that was there longest ago is forgotten first. */
const maxRemembered = 1000;
/** Ends of the engine, each by other inputs, after which a caller that others are suspects beside runs apart from them. */
const apartAfter = 3;
/** Callers run apart in so many groups. */
const groups = 8;
/** Milliseconds that a turn of a caller takes at most. */
const turnMs = 10_000;

/** The last end of the engine at which these inputs of a caller were suspects. */
type Ended = Suspected & { readonly at: number };

type Known = {
  /** Of the last ten minutes, each by inputs that were no suspects at the ones before; the latest last. */
  readonly ends: readonly Ended[];
  /** At the last of at least two nobody else was a suspect: when that was. */
  readonly foundAt?: number;
};

type Asked = { readonly who: string; readonly at: number };

/**
 * Callers who end the engine, or stall it until it is killed, with another input each time: {@link DeadlyInputs} never sees one of them again.
 * A caller is a credential, and its tenant and user; all without a credential are one, who is never refused.
 *
 * Guarantees: a caller is refused for ten minutes once his inputs were suspects at two ends of the engine within ten minutes, other ones each
 * time, and at the last one nobody else's; who is the only one that asks this node is not, as it would help nobody. Callers who were suspects
 * at three such ends beside each other run apart from then on, for ten minutes after the last end: an eighth of them at a time, up to eight of
 * them one by one, each for 10 seconds at most; a request of theirs waits 80 seconds at most, and others for nobody. When the engine ends then,
 * those of them that were not there run as before. What a version was taken out of service for counts against no caller.
 *
 * Caveats: what takes longer than a turn to end the engine may end it beside others, and then is found later, or never.
 */
export class DeadlyCallers {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #turns: Turns;
  /** By who, the latest last. */
  readonly #known = new Map<string, Known>();
  #apart: ReadonlySet<string> = new Set();
  #endedAt = Number.NEGATIVE_INFINITY;
  /** The last one that asked, and the last one before that was another. */
  #last: Asked | undefined;
  #other: Asked | undefined;

  constructor(clock: Pick<Clock, 'monotonic' | 'after'>) {
    this.#clock = clock;
    this.#turns = new Turns(clock);
  }

  /**
   * Waits for a turn, if the caller runs apart. The result is to be called when the request is over.
   * @throws CALLER_ENDS_ENGINE, or the reason of the signal
   */
  async turn(who: string, signal: AbortSignal): Promise<() => void> {
    this.#asks(who);
    this.#check(who);
    if (!this.#isKnown(this.#endedAt) || !this.#apart.has(who)) return () => undefined;
    const end = await this.#turns.take(turnMs, signal, who);
    try {
      this.#check(who);
    } catch (error) {
      end();
      throw error;
    }
    return end;
  }

  /** The engine ended. With a canary among the suspects that is tried first: to be called where there is none. */
  engineDied(suspects: ReadonlyMap<string, Suspected>): void {
    if (suspects.size === 0) return;
    const at = this.#clock.monotonic();
    this.#endedAt = at;
    for (const [who, suspected] of suspects) {
      const before = this.#known.get(who);
      const ends = [...this.#others(before, suspected), { at, ...suspected }].slice(-apartAfter);
      const isFound = who !== '' && suspects.size === 1 && ends.length > 1;
      const foundAt = isFound ? at : before?.foundAt;
      this.#known.delete(who);
      this.#known.set(who, foundAt === undefined ? { ends } : { ends, foundAt });
    }
    dropFirst(this.#known, maxRemembered);
    this.#runApart(suspects);
  }

  /** A version was taken out of service: it may have ended the engine, whoever asked for it. */
  held(digest: Digest): void {
    for (const [who, { ends }] of this.#known)
      if (ends.some(({ versions }) => versions.has(digest))) this.#known.delete(who);
  }

  /** Ends that are known, but for those by the same inputs: one that comes again is one. */
  #others(known: Known | undefined, { keys }: Suspected): readonly Ended[] {
    const ends = known?.ends ?? [];
    return ends.filter((end) => this.#isKnown(end.at) && ![...end.keys].some((key) => keys.has(key)));
  }

  #runApart(suspects: ReadonlyMap<string, unknown>): void {
    const again = [...this.#apart].filter((who) => suspects.has(who));
    if (again.length > 0) for (const who of this.#apart) if (!suspects.has(who)) this.#clear(who);
    const apart = again.length > 0 ? again : [...this.#apart];
    const more = [...suspects.keys()].filter((who) => this.#known.get(who)?.ends.length === apartAfter);
    this.#apart = new Set([...apart, ...more]);
    this.#turns.places = Math.max(1, Math.ceil(this.#apart.size / groups));
  }

  #clear(who: string): void {
    if (this.#known.get(who)?.foundAt === undefined) this.#known.delete(who);
  }

  #check(who: string): void {
    const known = this.#known.get(who);
    if (known?.foundAt === undefined || !this.#isKnown(known.foundAt) || !this.#othersAsk(who)) return;
    const retryAfterMs = known.foundAt + knownMs - this.#clock.monotonic();
    const minutes = Math.ceil(retryAfterMs / 60_000);
    throw new AdaptletError(
      'CALLER_ENDS_ENGINE',
      `The engine ended ${known.ends.length} times within ten minutes while it worked on inputs of this caller, other ones each time; the caller is refused for ${minutes} minutes`,
      { retryAfterMs },
    );
  }

  #asks(who: string): void {
    if (this.#last !== undefined && this.#last.who !== who) this.#other = this.#last;
    this.#last = { who, at: this.#clock.monotonic() };
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
