import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { memoryOf } from '../bench/process-memory.ts';
import type { CallError } from '../support/client.ts';
import { type AttackName, slowRoute, type Target } from '../support/hostile/attacks.ts';
import { type RunningAttack, runAttack } from '../support/hostile/run-attack.ts';
import { enginePid, TestNode, yaml } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';

/** Of structures, and what a node takes beside them: what any attack of requests may, and the thread that compiles. */
const structureMib = 64;
const requestsMib = 150;
/** V8 of a thread with the code of the module, a vocabulary, and the memory of what is compiled four times: 4 MiB at most of these. */
const compilingMib = 80;

let node: TestNode;
let engine: number | undefined;
let target: Target;
beforeAll(async () => {
  node = await TestNode.start({
    settings: {
      'log-level': 'info',
      'idle-timeout': '2s',
      'body-timeout': '2s',
      'body-memory': '16Mi',
      'structure-memory': `${structureMib}Mi`,
    },
  });
  await node.write('a.yaml', yaml.adapter('upper', 'adapters/upper') + slowRoute);
  await waitFor('upper', async () => (await moon()) === ' MOON!');
  engine = enginePid(node);
  target = { http: node.http, grpc: node.grpc, model: 'upper' };
  // What is allocated once is there before anything is compared.
  for (let i = 0; i < 50; i += 1) await moon();
});
afterAll(() => node.dispose());

/** Another tenant than those that attack. */
const own = { 'x-adaptlet-tenant': 'behaves' };
const moon = async () => (await node.client.ask({ model: 'upper', prompt: 'moon:', headers: own })).text;
/** The status and the text, or why there was no answer. */
const moonByHttp = (): Promise<string> =>
  askMoon().catch((error: unknown) => String(error instanceof Error ? (error.cause ?? error) : error));
const askMoon = async (): Promise<string> => {
  const response = await fetch(`${node.http}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...own },
    body: JSON.stringify({ model: 'upper', prompt: 'moon:', max_tokens: 16, temperature: 0 }),
  });
  const { choices } = (await response.json()) as { choices?: readonly { text: string }[] };
  return `${response.status} ${choices?.[0]?.text ?? ''}`;
};

/** How long others ask beside an attack, at least, and how often. */
const windowMs = 5000;
const leastAnswers = 5;

/** Answers of both ports, one after another, and the most MiB of the node meanwhile. */
const beside = async () => {
  const ends = new Set<string>();
  const started = performance.now();
  let mostMib = 0;
  for (let i = 0; i < leastAnswers || performance.now() - started < windowMs; i += 1) {
    ends.add(await moon().catch((error: CallError) => error.code));
    ends.add(await moonByHttp());
    mostMib = Math.max(mostMib, (await memoryOf(node.pid)).rss);
  }
  return { ends, mostMib };
};
/** Ends the attack, too. */
const besideAn = async (attack: RunningAttack) => {
  try {
    return await beside();
  } finally {
    await attack.stop();
  }
};
const usual = new Set([' MOON!', '200  MOON!']);
const withQueueFull = new Set([...usual, 'QUEUE_FULL', '429 ']);

const unharmed = async (): Promise<void> => {
  await waitFor('no reference', async () =>
    (await node.client.status()).adapters.every((a) => a.references === 0),
  );
  expect(await moon()).toBe(' MOON!');
  expect(await moonByHttp()).toBe('200  MOON!');
  expect(enginePid(node)).toBe(engine);
};

describe('beside hostile clients', () => {
  it.each<[string, AttackName, ReadonlySet<string>, number]>([
    ['with a thousand idle connections', 'idle', usual, 100],
    ['that send headers and bodies a byte at a time', 'slowWriters', usual, 150],
    ['that send all of a message but its end', 'halfMessages', usual, 300],
    ['that do not read what they asked for', 'slowReaders', withQueueFull, 200],
    ['that reset streams as fast as they can', 'rapidReset', usual, 200],
    ['with bodies and headers over the limits', 'oversize', usual, 200],
    ['with JSON that is nested without an end', 'deepJson', usual, 250],
    ['with bodies in single bytes', 'crumbs', usual, 150],
    ['that leave their streams', 'cancelled', withQueueFull, 150],
    ['that leave their calls', 'cancelledCalls', withQueueFull, 150],
    [
      'with patterns and grammars that are made to explode',
      'structures',
      usual,
      structureMib + requestsMib + compilingMib,
    ],
    ['with prompts for patterns that are made to be slow', 'patterns', usual, requestsMib],
  ])('%s others get their answers, and memory stays within bounds', async (_, name, allowed, boundMib) => {
    const before = (await memoryOf(node.pid)).rss;
    const attack = await runAttack(name, target);
    const { ends, mostMib } = await besideAn(attack);
    expect([...ends].filter((end) => !allowed.has(end))).toEqual([]);
    expect(ends.has(' MOON!') && ends.has('200  MOON!')).toBe(true);
    expect(mostMib - before).toBeLessThan(boundMib);
    await unharmed();
  });

  it('connections that nobody uses are closed in time, on both ports', async () => {
    const attack = await runAttack('idle', target);
    try {
      await waitFor('all of them closed', () => (attack.ends['closed'] ?? 0) >= 1000, 60_000);
    } finally {
      await attack.stop();
    }
  });

  it('prompts for a slow pattern are routed while its namespace has time for it, and then refused', async () => {
    const attack = await runAttack('patterns', target);
    try {
      // The tiny model has no room for such a prompt, which is seen behind routing.
      await waitFor('both', () => (attack.ends['400'] ?? 0) > 0 && (attack.ends['429'] ?? 0) > 0);
    } finally {
      await attack.stop();
    }
  });

  it('a connection that resets its streams too fast is closed', async () => {
    const attack = await runAttack('rapidReset', target);
    try {
      await waitFor('a closed session', () => (attack.ends['session closed'] ?? 0) >= 4);
    } finally {
      await attack.stop();
    }
  });
});
