import { partsFor } from '../../control/parts.ts';
import type { Clock } from '../../time/clock.ts';
import { Example } from '../fleet/example.ts';
import type { RuntimeState } from '../fleet/fleet.ts';
import type { Scope } from '../objects/scope.ts';

type Adapters = RuntimeState['adapters'];

/** Examples that are kept: one for each kind of runtimes. */
const maxExamples = 16;
/** Who is like nobody else is no example for long, and does not make one of each report. */
const stayMs = 10_000;

/** `example`: undefined: they report so little that nothing is gained. */
type Learned = { readonly example: Example | undefined; readonly learnedAt: number };

/**
 * An example of what runtimes report, for each namespace of pods, or the nodes, and each base model. A runtime whose report
 * has everything leaves out what is as in the example. So when all come anew, as to a new leader, one says everything.
 */
export class Examples {
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** The one that was asked for last comes last. */
  readonly #examples = new Map<string, Learned>();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  of(scope: Scope, baseModel: string): Example | undefined {
    const name = nameOf(scope, baseModel);
    const known = this.#examples.get(name);
    if (known === undefined) return undefined;
    this.#examples.delete(name);
    this.#examples.set(name, known);
    return known.example;
  }

  /** False: runtimes like that may say much, as far as is known. */
  areShort(scope: Scope, baseModel: string): boolean {
    const known = this.#examples.get(nameOf(scope, baseModel));
    return known !== undefined && known.example === undefined;
  }

  /** A runtime said everything, and this many parts as the example did. */
  learn(scope: Scope, baseModel: string, adapters: Adapters, likeParts: number): void {
    const parts = partsFor(adapters.size);
    const name = nameOf(scope, baseModel);
    const known = this.#examples.get(name);
    const now = this.#clock.monotonic();
    const isGood = parts > 0 && likeParts * 2 >= parts;
    if (isGood || (known?.example !== undefined && now - known.learnedAt < stayMs)) return;
    // Who says little is no example where others say much.
    if (parts === 0 && known?.example !== undefined) return;
    this.#examples.delete(name);
    const example = parts === 0 ? undefined : new Example(adapters, parts);
    this.#examples.set(name, { example, learnedAt: now });
    for (const oldest of this.#examples.keys()) {
      if (this.#examples.size <= maxExamples) return;
      this.#examples.delete(oldest);
    }
  }
}

const nameOf = (scope: Scope, baseModel: string): string => `${scope ?? ''}/${baseModel}`;
