import { createHash } from 'node:crypto';
import { serialize } from 'node:v8';
import type { Digest } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Clock } from '../../../time/clock.ts';
import { unlessAborted } from '../../../time/unless-aborted.ts';
import type { RequestContext } from '../../routing/request.ts';

/** Ends of the engine, without an answer between them, after which an input is refused. */
const maxDeaths = 2;
/** How long, in milliseconds, after the last of them. */
const refuseMs = 600_000;
/** Inputs that are remembered; the one that ended the engine longest ago is forgotten first. */
const maxRemembered = 1000;

/** What a caller sends, whoever answers it. The same again is the same input. */
export class Input {
  readonly namespace: string;
  readonly #of: readonly unknown[];
  #key: string | undefined;

  constructor({ namespace, caller, tenant, user }: RequestContext, request: unknown) {
    this.namespace = namespace;
    this.#of = [namespace, caller, tenant, user, request];
  }

  /** Made when something asks for it: hardly anything does while no engine ends. */
  get key(): string {
    return (this.#key ??= createHash('sha256').update(serialize(this.#of)).digest('hex'));
  }
}

/** What is known of an end of the engine. */
export type EngineDeath = {
  /** An input that the engine had not begun had ended it before, for another version: then no version did. */
  readonly isOfInput: boolean;
  /** Namespaces whose inputs may have ended it: of those that did before, if any were there, else of all that were not begun. */
  readonly suspects: ReadonlySet<string>;
};

type Deaths = { count: number; at: number; readonly versions: Set<Digest> };

/**
 * Inputs that end the engine, or stall it until it is killed. Who did it is not known: all are suspects that the engine had
 * and had not begun to answer. Suspects come back one at a time, so that the next end tells; one that is answered is none any
 * more.
 *
 * Guarantees: an input of one caller that was there at two ends of the engine, and was not answered between them, is refused for
 * ten minutes. Caveat: an input that another one ends the engine beside twice in a row, the second time as the only suspect, is refused
 * too.
 */
export class DeadlyInputs {
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** Given to the engine and not answered yet: by whom each is to be answered. */
  readonly #given = new Map<Input, Digest>();
  /** By key, the latest death last. */
  readonly #deaths = new Map<string, Deaths>();
  /** Settles once no suspect waits to be answered. */
  #suspects: Promise<void> = Promise.resolve();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** @throws INPUT_ENDS_ENGINE */
  check(input: Input): void {
    const deaths = this.#known(input);
    if (deaths === undefined || deaths.count < maxDeaths) return;
    const retryAfterMs = deaths.at + refuseMs - this.#clock.monotonic();
    const minutes = Math.ceil(retryAfterMs / 60_000);
    throw new AdaptletError(
      'INPUT_ENDS_ENGINE',
      `The engine ended ${deaths.count} times while it had this input and had not begun to answer it; it is refused for ${minutes} minutes`,
      { retryAfterMs },
    );
  }

  /**
   * Waits while the engine has another suspect, if the input is one. The result is to be called when all of its prompts have
   * begun to be answered or it fails.
   * @throws INPUT_ENDS_ENGINE, or the reason of the signal
   */
  async turn(input: Input, signal: AbortSignal): Promise<() => void> {
    if (this.#known(input) === undefined) return () => undefined;
    const before = this.#suspects;
    const { promise, resolve: end } = Promise.withResolvers<void>();
    this.#suspects = before.then(() => promise);
    try {
      await unlessAborted(before, signal);
      this.check(input);
    } catch (error) {
      end();
      throw error;
    }
    // Answered meanwhile: those behind need not wait for it.
    if (this.#known(input) === undefined) end();
    return end;
  }

  /** The engine is given an input, for this version to answer; the result is to be called when all of its prompts have begun to be answered or it fails. */
  given(input: Input, version: Digest): () => void {
    this.#given.set(input, version);
    return () => {
      this.#given.delete(input);
    };
  }

  answered(input: Input): void {
    if (this.#known(input) !== undefined) this.#deaths.delete(input.key);
  }

  /** The engine ended. */
  engineDied(): EngineDeath {
    const inputs = [...this.#given.keys()];
    const known = inputs.filter((input) => this.#known(input) !== undefined);
    const suspects = new Set((known.length > 0 ? known : inputs).map(({ namespace }) => namespace));
    return { isOfInput: this.#countDeath(), suspects };
  }

  #countDeath(): boolean {
    const at = this.#clock.monotonic();
    const before = new Map<string, ReadonlySet<Digest>>();
    let isOfInput = false;
    for (const [input, version] of this.#given) {
      const known = this.#known(input);
      const versions = before.get(input.key) ?? new Set(known?.versions);
      if ([...versions].some((other) => other !== version)) isOfInput = true;
      const deaths = known ?? { count: 0, at, versions: new Set<Digest>() };
      // The same input several times at once is one suspect.
      if (!before.has(input.key)) deaths.count += 1;
      before.set(input.key, versions);
      deaths.at = at;
      deaths.versions.add(version);
      this.#deaths.delete(input.key);
      this.#deaths.set(input.key, deaths);
    }
    this.#given.clear();
    for (const key of this.#deaths.keys()) {
      if (this.#deaths.size <= maxRemembered) break;
      this.#deaths.delete(key);
    }
    return isOfInput;
  }

  #known(input: Input): Deaths | undefined {
    if (this.#deaths.size === 0) return undefined;
    const deaths = this.#deaths.get(input.key);
    return deaths !== undefined && this.#clock.monotonic() - deaths.at < refuseMs ? deaths : undefined;
  }
}
