import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Prompt, Sampling } from '../../../src/runtime/engine/engine.ts';
import { seededRandom } from '../../../src/runtime/engine/random.ts';
import type { RealModel } from '../../support/models.ts';

/** Requests of one kind, in the order in which a caller sends them. */
export type Workload = {
  readonly name: string;
  /** A trained adapter; null: the base model. */
  readonly adapter: string | null;
  readonly prompts: readonly Prompt[];
  readonly maxTokens: number;
  readonly sampling: Pick<Sampling, 'temperature' | 'topP'>;
};

const greedy = { temperature: 0, topP: 1 };

/** Held-out rows of the task that an adapter was trained for. */
const held = ({ eval: folder }: RealModel, task: string, adapter: string): Workload => ({
  name: task,
  adapter,
  prompts: readFileSync(join(folder, `${adapter.replace(/-v\d+$/, '')}.jsonl`), 'utf8')
    .trim()
    .split('\n')
    .map((line) => ({ kind: 'text', text: (JSON.parse(line) as { readonly prompt: string }).prompt })),
  maxTokens: 64,
  sampling: greedy,
});

const chat = (content: string): Prompt => ({ kind: 'chat', messages: [{ role: 'user', content }] });

const schema = 'CREATE TABLE employees (name TEXT, city TEXT, dept TEXT, age INTEGER, salary INTEGER);';
const examples: readonly (readonly [question: string, query: string])[] = [
  ['How many employees work in Sales?', "SELECT COUNT(*) FROM employees WHERE dept = 'Sales';"],
  ['Who works in Lisbon?', "SELECT name FROM employees WHERE city = 'Lisbon';"],
  ['What is the average salary in Finance?', "SELECT AVG(salary) FROM employees WHERE dept = 'Finance';"],
  ['Who is older than 40?', 'SELECT name FROM employees WHERE age > 40;'],
];

/** No adapter for SQL is among the models: the base model has examples in its prompt, and answers in their form. */
const sql = (count: number): Workload => {
  const random = seededRandom(49);
  const one = (items: readonly string[]): string => items[Math.floor(random() * items.length)] ?? '';
  const question = (): string => {
    const dept = one(['Logistics', 'Engineering', 'Purchasing', 'Support', 'Legal']);
    const city = one(['Mumbai', 'Havana', 'Budapest', 'Oslo', 'Toronto']);
    const number = String(30 + Math.floor(random() * 30));
    return one([
      `How many employees work in ${dept}?`,
      `Who works in ${city}?`,
      `What is the average salary in ${dept}?`,
      `Who is older than ${number}?`,
      `Who in ${dept} works in ${city}?`,
    ]);
  };
  const shown = examples.map(([asked, query]) => `${asked}\n${query}`).join('\n\n');
  return {
    name: 'sql',
    adapter: null,
    prompts: Array.from({ length: count }, () =>
      chat(`${schema}\n\n${shown}\n\nAnswer with one query.\n${question()}`),
    ),
    maxTokens: 48,
    sampling: greedy,
  };
};

const subjects = [
  'a lighthouse keeper who finds a letter',
  'why the sea is salty',
  'a walk through a city in the rain',
  'how bread is made',
  'the first day at a new school',
  'what a good friend is',
  'a train journey in winter',
  'why people keep gardens',
  'an old clock that stopped',
  'how birds find their way',
  'a market on a summer morning',
  'what makes a song stay in the mind',
];

/** Free text, which seldom says anything twice: sampled, as greedy answers of a small model run in circles. */
const prose = (name: string, sampling: Workload['sampling']): Workload => ({
  name,
  adapter: null,
  prompts: subjects.map((subject) => chat(`Write a short text about ${subject}.`)),
  maxTokens: 96,
  sampling,
});

export const workloads = (model: RealModel): readonly Workload[] => [
  held(model, 'json', 'json-extract-v2'),
  sql(24),
  held(model, 'pirate', 'pirate'),
  prose('prose', { temperature: 0.8, topP: 0.95 }),
  prose('prose_greedy', greedy),
];
