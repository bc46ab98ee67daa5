import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { seededRandom } from '../../src/runtime/engine/random.ts';
import { TestNode } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';
import { type Report, report, type Variant, variant } from './report.ts';
import { realSize } from './sizes/models.ts';
import { chosenShapes, type ShapeName } from './sizes/shapes.ts';

const [clients, promptTokens, answerTokens] = [8, 500, 1_024];
/** Milliseconds: a model of a billion weights is prepared at the first start. */
const startMs = 900_000;

type Answer = { readonly firstMs: number; readonly wholeMs: number; readonly tokens: number };
type Chunk = {
  readonly choices?: readonly { readonly text: string }[];
  readonly usage?: { readonly completion_tokens: number } | null;
  readonly error?: { readonly message: string };
};

/** Tokens of the vocabulary of SmolLM2's tokenizer, none of them special. */
const randomTokens = (seed: number): readonly number[] => {
  const random = seededRandom(seed);
  return Array.from({ length: promptTokens }, () => 100 + Math.floor(random() * 40_000));
};

/**
 * One answer, as it comes.
 * @throws what ended it before it was whole
 */
const ask = async (http: string, model: string, seed: number): Promise<Answer> => {
  const began = performance.now();
  const response = await fetch(`${http}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model,
      prompt: randomTokens(seed),
      max_tokens: answerTokens,
      temperature: 0,
      ignore_eos: true,
      stream: true,
      stream_options: { include_usage: true },
    }),
  });
  if (!response.ok || response.body === null) throw new Error(`${response.status}: ${await response.text()}`);
  let [firstMs, tokens] = [0, 0];
  const lines = createInterface({ input: Readable.fromWeb(response.body) });
  lines.on('line', (line) => {
    if (!line.startsWith('data: {')) return;
    const { choices, usage, error } = JSON.parse(line.slice('data: '.length)) as Chunk;
    if (error !== undefined) console.error(`long-answers: ${error.message}`);
    if (firstMs === 0 && (choices?.[0]?.text ?? '') !== '') firstMs = performance.now() - began;
    tokens = usage?.completion_tokens ?? tokens;
  });
  await once(lines, 'close');
  if (tokens !== answerTokens) throw new Error(`ended after ${tokens} of ${answerTokens} tokens`);
  return { firstMs, wholeMs: performance.now() - began, tokens };
};

/** What clients of one node with its defaults get, all of them at once. */
const measured = async (name: ShapeName) => {
  const { modelDir } = await realSize(name);
  const node = await TestNode.start({ model: modelDir, modelName: name, settings: { 'log-level': 'info' } });
  try {
    const isReady = async (): Promise<boolean> => (await fetch(new URL('/readyz', node.http))).ok;
    await waitFor(`${name} to be ready`, isReady, startMs);
    const began = performance.now();
    const asked = Array.from({ length: clients }, (_, client) => ask(node.http, name, client + 1));
    const answers = await Promise.allSettled(asked);
    const seconds = (performance.now() - began) / 1_000;
    for (const answer of answers)
      if (answer.status === 'rejected') console.error(`long-answers: ${name}:`, answer.reason);
    const whole = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
    return { whole, seconds };
  } finally {
    await node.dispose();
  }
};

/**
 * Whether requests that take minutes are answered: eight clients at once, each with 500 tokens and an answer of 1,024, at a node
 * with all its defaults, on models of real sizes. ADAPTLET_BENCH_SIZES names the models; without it that of a billion weights.
 */
export const longAnswers = async (): Promise<Report> => {
  const results: Record<string, Variant> = {};
  const ratios: Record<string, number> = {};
  for (const name of chosenShapes(['llama32-1b'])) {
    const { whole, seconds } = await measured(name);
    ratios[`${name}_answered`] = whole.length / clients;
    ratios[`${name}_tokens_per_second`] = (whole.length * answerTokens) / seconds;
    if (whole.length === 0) continue;
    results[`${name}_first_token`] = variant(whole.map(({ firstMs }) => firstMs));
    results[`${name}_whole_answer`] = variant(whole.map(({ wholeMs }) => wholeMs));
  }
  const setup = { clients, prompt_tokens: promptTokens, answer_tokens: answerTokens };
  return report('long-answers', 'ms', { results, ratios, setup });
};
