import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { moon } from '../../support/moon.ts';
import { waitFor } from '../../support/wait.ts';
import { type AdapterName, patience, type Site } from './site.ts';

/** Milliseconds between two requests of a node. */
const everyMs = 50;
/** A client gives up after so long. */
const patienceMs = 10_000;

type Answer = { readonly choices: readonly { readonly text: string }[] };

/** What the clients of one node saw. */
export type Seen = {
  answered: number;
  /** When and why requests were not answered, one each. */
  readonly failures: string[];
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

  private constructor(hosts: ReadonlyMap<number, string>, model: string) {
    this.#lanes = [...hosts].map(([node, host]) => this.#ask(node, host, model));
  }

  /** Asks the rollout `shout` on these nodes; all of them answer when this resolves. */
  static async start(site: Site, nodes: readonly number[]): Promise<Requests> {
    const hosts = new Map<number, string>();
    for (const index of nodes) hosts.set(index, await site.service(site.lab.node(index), 'http'));
    const requests = new Requests(hosts, `${site.namespace}/shout`);
    await requests.answered(20);
    return requests;
  }

  /** Waits until so many more were answered on each of the nodes. */
  async answered(more: number, nodes: readonly number[] = [...this.#seen.keys()]): Promise<void> {
    const before = nodes.map((node) => this.of(node).answered);
    const isThere = (): boolean =>
      nodes.every((node, i) => this.of(node).answered >= (before[i] ?? 0) + more);
    await waitFor('answers on every node', isThere, patience);
  }

  /** Waits until one adapter alone answers on these nodes. */
  async onlyFrom(adapter: AdapterName, nodes: readonly number[] = [...this.#seen.keys()]): Promise<void> {
    await waitFor(
      `nothing but ${adapter}`,
      async () => {
        for (const node of nodes) this.of(node).adapters.clear();
        await this.answered(40, nodes);
        return nodes.every((node) => [...this.of(node).adapters].join() === adapter);
      },
      patience,
    );
  }

  of(node: number): Seen {
    const seen = this.#seen.get(node);
    if (seen === undefined) throw new Error(`nobody asks on node ${node}`);
    return seen;
  }

  async #ask(node: number, host: string, model: string): Promise<void> {
    const seen: Seen = { answered: 0, failures: [], wrong: [], adapters: new Set(), longestGapMs: 0 };
    this.#seen.set(node, seen);
    const startedAt = performance.now();
    let lastAnswer = startedAt;
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
        const afterS = ((performance.now() - startedAt) / 1000).toFixed(1);
        seen.failures.push(`${afterS} s after the first: ${reasonOf(error)}`);
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

/** Every client of these nodes got every answer, and the right one. */
export const expectUnharmed = (requests: Requests, nodes: readonly number[]): void => {
  for (const node of nodes) {
    const { failures, wrong } = requests.of(node);
    const harm = [...failures, ...wrong];
    expect(harm, `node ${node}: ${harm.slice(0, 3).join('; ')}`).toEqual([]);
  }
};

/**
 * What a client loses of a node whose pod or engine is replaced: a request or few, and no answer is wrong.
 * `refusedFor`: a code of errors that is right for as long as its reason lasts, however many that are.
 */
export const expectShortGap = (
  requests: Requests,
  node: number,
  { mostLost = 10, refusedFor = '' }: { readonly mostLost?: number; readonly refusedFor?: string } = {},
): void => {
  const { failures, wrong, longestGapMs, answered } = requests.of(node);
  const gap = `${(longestGapMs / 1000).toFixed(1)} s without an answer`;
  console.log(`node ${node}: ${failures.length} of ${answered + failures.length} requests failed, ${gap}`);
  const lost =
    refusedFor === '' ? failures : failures.filter((why) => !why.includes(`"code":"${refusedFor}"`));
  expect({ wrong, failures: lost.slice(mostLost) }).toEqual({ wrong: [], failures: [] });
};
