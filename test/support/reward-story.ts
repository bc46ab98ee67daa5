import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OpenAI } from 'openai';
import type { smollm } from './models.ts';
import { TestNode } from './node.ts';
import { waitFor } from './wait.ts';

type Row = { readonly prompt: string; readonly expected: string };

/** What a rollout did to those who were served meanwhile. */
export type Passage = {
  /** Answers until the rollout ended. */
  readonly answers: number;
  readonly byCanary: number;
  readonly users: number;
  /** Of these, those that the canary answered at least once. */
  readonly usersOfCanary: number;
  /** Requests that were not answered. */
  readonly errors: number;
  /** Answers that are no JSON. */
  readonly malformed: { readonly stable: number; readonly canary: number };
  /** Mean reward of each side; NaN without answers. */
  readonly reward: { readonly stable: number; readonly canary: number };
  readonly seconds: number;
  readonly phase: string;
  readonly stable: string;
  readonly message: string;
};

/** Their callers send 1 for a right answer and 0 for a wrong one. */
const adapters = ['json-extract-v1', 'json-extract-v2', 'json-extract-v3-regressed'];
const manifests = adapters
  .map(
    (name) =>
      `apiVersion: adaptlet.io/v1alpha1\nkind: Adapter\nmetadata: {name: ${name}}\nspec: {baseModel: smollm2-135m, source: {path: {path: ${name}}}}\n`,
  )
  .join('---\n');
const rollout = (adapter: string): string => `apiVersion: adaptlet.io/v1alpha1
kind: AdapterRollout
metadata: {name: extract}
spec:
  adapter: ${adapter}
  strategy:
    canary:
      steps:
      - setWeight: 25
      - analysis:
          duration: 2m
          metrics:
          - name: errors
            source: {builtin: ErrorRatio}
            judge: {sequential: {minSampleSize: 20}}
          - name: quality
            interval: 2s
            source: {builtin: Reward}
            judge: {sequential: {minSampleSize: 20}}
`;

const users = 200;
const lanes = 4;
const isJson = (text: string): boolean => {
  try {
    return typeof JSON.parse(text) === 'object';
  } catch {
    return false;
  }
};

/**
 * An application that extracts orders as JSON, on a node alone: its developers roll out adapters, and it sends a reward
 * for each answer. The rollout is all that looks at them.
 */
export class RewardStory implements AsyncDisposable {
  readonly #node: TestNode;
  readonly #openai: OpenAI;
  readonly #rows: readonly Row[];
  #asked = 0;

  private constructor(node: TestNode, rows: readonly Row[]) {
    this.#node = node;
    this.#rows = rows;
    this.#openai = new OpenAI({ baseURL: `${node.http}/v1`, apiKey: 'none', maxRetries: 0 });
  }

  /** json-extract-v1 serves. */
  static async begin(real: NonNullable<ReturnType<typeof smollm>>): Promise<RewardStory> {
    const lines = (await readFile(join(real.eval, 'json-extract.jsonl'), 'utf8')).trim().split('\n');
    const node = await TestNode.start({
      model: real.modelDir,
      modelName: 'smollm2-135m',
      importRoots: real.adapters,
      settings: { threads: '2', 'log-level': 'info' },
    });
    await node.write('adapters.yaml', manifests);
    const story = new RewardStory(
      node,
      lines.map((line) => JSON.parse(line) as Row),
    );
    await story.settle('json-extract-v1');
    return story;
  }

  /** Has the rollout name an adapter that needs no steps: the first one, or the present stable. */
  async settle(adapter: string): Promise<void> {
    await this.#roll(adapter);
    const isSettled = async (): Promise<boolean> => {
      const { phase, stable } = await this.#state();
      return phase === 'Healthy' && stable === adapter;
    };
    await waitFor(`${adapter} to be stable`, isSettled, 60_000);
  }

  /** Rolls an adapter out and serves callers until the rollout has ended, one way or the other. */
  async rollOut(adapter: string): Promise<Passage> {
    const seen = { stable: [] as number[], canary: [] as number[] };
    const [callers, ofCanary] = [new Set<string>(), new Set<string>()];
    const malformed = { stable: 0, canary: 0 };
    let errors = 0;
    const started = performance.now();
    await this.#roll(adapter);
    await waitFor(
      `requests for ${adapter}`,
      async () => {
        const { canary, weight } = await this.#state();
        return canary === adapter && weight > 0;
      },
      60_000,
    );
    let state = await this.#state();
    const lane = async (): Promise<void> => {
      while (state.phase !== 'Healthy' && state.phase !== 'Degraded' && state.phase !== 'Paused') {
        const user = `user-${(this.#asked * 7919) % users}`;
        const row = this.#rows[this.#asked++ % this.#rows.length];
        if (row === undefined) throw new Error('there are no rows');
        try {
          const { id, arm, text } = await this.#ask(user, row.prompt);
          const reward = text === row.expected ? 1 : 0;
          malformed[arm] += isJson(text) ? 0 : 1;
          seen[arm].push(reward);
          callers.add(user);
          if (arm === 'canary') ofCanary.add(user);
          await this.#openai.post('/feedback', { body: { id, reward } });
        } catch (error) {
          errors += 1;
          if (errors > 10) throw error;
        }
        state = await this.#state();
      }
    };
    await Promise.all(Array.from({ length: lanes }, lane));
    const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
    const { phase, stable, message } = state;
    return {
      answers: seen.stable.length + seen.canary.length,
      byCanary: seen.canary.length,
      users: callers.size,
      usersOfCanary: ofCanary.size,
      errors,
      malformed,
      reward: { stable: mean(seen.stable), canary: mean(seen.canary) },
      seconds: (performance.now() - started) / 1000,
      phase,
      stable,
      message,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#node.dispose();
  }

  async #ask(user: string, prompt: string): Promise<{ id: string; arm: 'stable' | 'canary'; text: string }> {
    const { data, response } = await this.#openai.completions
      .create({ model: 'extract', prompt, user, max_tokens: 48, temperature: 0 })
      .withResponse();
    const arm = response.headers.get('x-adaptlet-arm');
    if (arm !== 'stable' && arm !== 'canary') throw new Error(`answered by ${arm}`);
    return { id: data.id, arm, text: data.choices[0]?.text ?? '' };
  }

  async #roll(adapter: string): Promise<void> {
    await this.#node.write('rollout.yaml', rollout(adapter));
  }

  async #state() {
    const { rollouts } = await this.#node.client.status();
    const found = rollouts.find(({ key }) => key.endsWith('/extract'));
    return found ?? { phase: '', stable: '', canary: '', message: '', weight: 0 };
  }
}
