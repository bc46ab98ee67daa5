/** What must not happen, by what it breaks. */
export const promises = {
  request: 'requests to a stable name on a node that is up succeed',
  digest: 'an answer names a digest that is stable or canary of that name at that time',
  text: 'the text is that of the weights that the answer names',
  arm: 'a user who has the canary keeps it while weights only rise',
  step: 'no step is lost or done twice',
  weight: 'what a runtime has in force is what the status says',
  namespace: 'no namespace sees objects of others',
  abort: 'nobody who lies aborts a rollout',
  newest: 'when all is calm every runtime has the newest plan within 30 s',
  growth: 'memory, files, threads and folders do not grow',
} as const;
export type Promised = keyof typeof promises;

export type Violation = {
  /** Seconds since the beginning. */
  readonly at: number;
  readonly breaks: Promised;
  readonly what: string;
  /** What happened just before. */
  readonly before: readonly string[];
};

/** Lines that a violation shows. */
const shown = 25;
/** Of one kind, those that are printed and kept whole; more are counted. */
const mostOfAKind = 40;

/** What was done and what went wrong, in the order of time. */
export class Story {
  readonly violations: Violation[] = [];
  readonly counts = new Map<Promised, number>();
  readonly #seed: number;
  readonly #began = performance.now();
  readonly #lines: string[] = [];
  readonly #say: (text: string) => void;

  constructor(seed: number, say: (text: string) => void) {
    this.#seed = seed;
    this.#say = say;
  }

  /** Milliseconds since the beginning. */
  readonly now = (): number => performance.now() - this.#began;

  tell(what: string): void {
    this.#lines.push(`${(this.now() / 1000).toFixed(1)} ${what}`);
    if (this.#lines.length > shown) this.#lines.shift();
  }

  violated(breaks: Promised, what: string): void {
    const count = (this.counts.get(breaks) ?? 0) + 1;
    this.counts.set(breaks, count);
    if (count > mostOfAKind) return;
    const violation = { at: this.now() / 1000, breaks, what, before: [...this.#lines] };
    this.violations.push(violation);
    this.#say(
      [
        `VIOLATION at ${violation.at.toFixed(1)} s, seed ${this.#seed}: ${promises[breaks]}`,
        `  ${what}`,
        ...violation.before.map((line) => `    ${line}`),
      ].join('\n'),
    );
    this.tell(`violated ${breaks}: ${what.slice(0, 120)}`);
  }
}
