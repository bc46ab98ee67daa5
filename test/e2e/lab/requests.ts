import { setTimeout as sleep } from 'node:timers/promises';
import { moon } from '../../support/moon.ts';

/** Milliseconds between two requests of a node. */
const everyMs = 50;
/** A client gives up after so long. */
const patienceMs = 10_000;

type Failure = { readonly node: number; readonly why: string };
type Answer = { readonly id: string; readonly choices: readonly { readonly text: string }[] };

/** What the clients of one node saw. */
export type Seen = {
  answered: number;
  readonly failures: Failure[];
  /** Texts that are not those of the adapter that the answer names. */
  readonly wrong: string[];
  /** Adapters that answered. */
  readonly adapters: Set<string>;
  /** The longest time between two answers, in milliseconds. */
  longestGapMs: number;
};

const reasonOf = (error: unknown): string => {
  const { message, cause } = error as Error;
  return cause instanceof Error ? `${message}: ${cause.message}` : message;
};

/** One client on each node, who asks a rollout through the Service of the node all the time, for ever other users. */
export class Requests implements AsyncDisposable {
  readonly #seen = new Map<number, Seen>();
  readonly #lanes: Promise<void>[];
  readonly #stop = new AbortController();

  /** `hosts`: host:port of HTTP by the number of the node. */
  constructor(hosts: ReadonlyMap<number, string>, model: string) {
    this.#lanes = [...hosts].map(([node, host]) => this.#ask(node, host, model));
  }

  of(node: number): Seen {
    const seen = this.#seen.get(node);
    if (seen === undefined) throw new Error(`nobody asks on node ${node}`);
    return seen;
  }

  async #ask(node: number, host: string, model: string): Promise<void> {
    const seen: Seen = { answered: 0, failures: [], wrong: [], adapters: new Set(), longestGapMs: 0 };
    this.#seen.set(node, seen);
    let lastAnswer = performance.now();
    for (let i = 0; !this.#stop.signal.aborted; i++) {
      try {
        const response = await fetch(`http://${host}/v1/completions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ model, prompt: 'moon:', temperature: 0, user: `u${i % 40}` }),
          signal: AbortSignal.timeout(patienceMs),
        });
        if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
        const { choices } = (await response.json()) as Answer;
        const adapter = response.headers.get('x-adaptlet-adapter') ?? '';
        const text = choices[0]?.text ?? '';
        if (text !== moon[adapter as keyof typeof moon]) seen.wrong.push(`${adapter}: ${text}`);
        seen.adapters.add(adapter);
        seen.answered++;
        const now = performance.now();
        seen.longestGapMs = Math.max(seen.longestGapMs, now - lastAnswer);
        lastAnswer = now;
      } catch (error) {
        seen.failures.push({ node, why: reasonOf(error) });
      }
      await sleep(everyMs);
    }
  }

  /** Ends all clients after their present requests. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#lanes);
  }
}
