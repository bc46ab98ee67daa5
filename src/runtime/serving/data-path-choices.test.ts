import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { total } from '../../rollout/judge/counts.ts';
import { adapter, canaryPlan, dataPathOver, good, next, planOf } from './data-path.fixture.ts';
import { policy } from './quotas/policy-table.fixture.ts';
import type { GenerationEvent } from './serving.ts';

type Node = ReturnType<typeof dataPathOver>;

const begin = (
  { path, request }: Node,
  choices: number,
  { model = 'good', seed = 5, signal = new AbortController().signal } = {},
) =>
  path.generate(
    { namespace: 'default', model, user: 'u1', headers: new Map() },
    { ...request, sampling: { ...request.sampling, seed }, choices },
    signal,
  );

const start = (limits: Parameters<typeof policy>[1] = {}) =>
  dataPathOver(planOf(adapter('good'), policy('default', limits)), { good });

const openOf = ({ quotas }: Node): number | undefined =>
  quotas.views({ adapterMemory: () => 0, adapterDisk: () => 0 }).find(({ limit }) => limit === 'requests')
    ?.used;

/** Requests of the canary that were counted. */
const requestsOf = ({ tally }: Node) =>
  tally.splits.reports('r1', next, 1).map(({ canary }) => total(canary.requests));

describe('several answers to one request', () => {
  it('come of one lease, each a request of the same namespace with the next seed', async () => {
    const node = start();
    const { events, served, id } = await begin(node, 3);
    expect(node.references.get('good')).toBe(1);
    const told = await Array.fromAsync(events);
    expect(served).toMatchObject({ adapter: 'good', digest: good });
    const whose = { namespace: 'default', engineName: 'default/good--x' };
    expect(node.asked).toMatchObject([5, 6, 7].map((seed) => ({ ...whose, sampling: { seed } })));
    expect(node.asked.map(({ requestId }) => requestId)).toEqual([id, `${id}-1`, `${id}-2`]);
    expect(node.asked[0]).not.toHaveProperty('choices');
    const ends = told.filter(({ kind }) => kind === 'done').map(({ choice }) => choice);
    expect(new Set(ends)).toEqual(new Set([0, 1, 2]));
    expect(ends).toHaveLength(3);
    expect(node.references.get('good')).toBe(0);
    expect(node.path.inEngine).toBe(0);
  });

  it('to several prompts come of one lease, those to the first prompt first, each prompt with the seeds of one alone', async () => {
    const node = start({ requests: { limit: 8 } });
    const texts = ['a', 'b', 'c'].map((text) => ({ kind: 'text', text }) as const);
    const [prompt = { kind: 'text', text: '' }, ...morePrompts] = texts;
    const { path, request } = node;
    const { events, id } = await path.generate(
      { namespace: 'default', model: 'good', headers: new Map() },
      { ...request, prompt, morePrompts, sampling: { ...request.sampling, seed: 5 }, choices: 2 },
      new AbortController().signal,
    );
    expect(openOf(node)).toBe(6);
    expect(node.references.get('good')).toBe(1);
    const told = await Array.fromAsync(events);
    expect(node.asked).toMatchObject(
      texts.flatMap((one) => [5, 6].map((seed) => ({ prompt: one, sampling: { seed } }))),
    );
    expect(node.asked.map(({ requestId }) => requestId)).toEqual([
      id,
      ...[1, 2, 3, 4, 5].map((at) => `${id}-${at}`),
    ]);
    for (const one of node.asked) {
      expect(one).not.toHaveProperty('choices');
      expect(one).not.toHaveProperty('morePrompts');
    }
    const ends = told.filter(({ kind }) => kind === 'done').map(({ choice }) => choice);
    expect(new Set(ends)).toEqual(new Set([0, 1, 2, 3, 4, 5]));
    expect(ends).toHaveLength(6);
    expect([openOf(node), node.references.get('good'), node.path.inEngine]).toEqual([0, 0, 0]);
  });

  it('come of one version, whatever the weights are, and count once for the rollout', async () => {
    const node = dataPathOver(canaryPlan, { good, next });
    const { events, served } = await begin(node, 4, { model: 'sql' });
    await Array.fromAsync(events);
    expect(new Set(node.asked.map(({ engineName }) => engineName)).size).toBe(1);
    expect(served).toMatchObject({ arm: 'canary', digest: next });
    const single = dataPathOver(canaryPlan, { good, next });
    await single.ask('sql');
    expect(requestsOf(node)).toEqual([1]);
    expect(requestsOf(single)).toEqual([1]);
  });

  it('begin once the first one did: what fails before is a plain error, and nothing else was asked for', async () => {
    const node = start();
    node.state.fail = new AdaptletError('QUEUE_FULL', 'full');
    await expect(begin(node, 3)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    expect(node.asked).toHaveLength(1);
    expect(node.references.get('good')).toBe(0);
  });

  it('fail together, and give back what they had', async () => {
    const node = start({ requests: { limit: 8 } });
    node.state.fail = new AdaptletError('ENGINE_DOWN', 'gone');
    node.state.failAfterFirst = true;
    const { events } = await begin(node, 3);
    await expect(Array.fromAsync(events)).rejects.toMatchObject({ code: 'ENGINE_DOWN' });
    expect(node.references.get('good')).toBe(0);
    expect(openOf(node)).toBe(0);
    expect(node.path.inEngine).toBe(0);
  });

  it('of which one is refused by the engine end with its error, and give back what they had', async () => {
    const node = start({ requests: { limit: 8 } });
    node.state.onFirst = () => {
      node.state.fail = new AdaptletError('QUEUE_FULL', 'full');
    };
    const { events } = await begin(node, 3);
    const told: GenerationEvent[] = [];
    const reading = (async () => {
      for await (const event of events) told.push(event);
    })();
    await expect(reading).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    expect(told).toMatchObject([{ kind: 'token', choice: 0 }]);
    expect(node.references.get('good')).toBe(0);
    expect(openOf(node)).toBe(0);
    expect(node.path.inEngine).toBe(0);
  });

  it('to a list of which the engine finds a prompt too long fail with its place in the list, the first one as well', async () => {
    const node = start();
    const tooLong = new AdaptletError('PROMPT_TOO_LONG', 'it is long', { advice: 'Shorten it.' });
    const text = { kind: 'text', text: 'x' } as const;
    const ask = async (morePrompts: readonly (typeof text)[]) => {
      const asked = { ...node.request, morePrompts, choices: 2 };
      const context = { namespace: 'default', model: 'good', headers: new Map() };
      const { events } = await node.path.generate(context, asked, new AbortController().signal);
      await Array.fromAsync(events);
    };
    node.state.onFirst = () => {
      // The answers to the first prompt begin.
      if (node.asked.length === 2) node.state.fail = tooLong;
    };
    await expect(ask([text, text])).rejects.toMatchObject({
      code: 'PROMPT_TOO_LONG',
      param: 'prompt.1',
      message: 'it is long (prompt.1). Shorten it.',
    });
    await expect(ask([text])).rejects.toMatchObject({ param: 'prompt.0' });
    await expect(ask([])).rejects.toBe(tooLong);
    expect(node.path.inEngine).toBe(0);
  });

  it('end together when their caller goes away while all of them wait', async () => {
    const node = start({ requests: { limit: 8 } });
    const client = new AbortController();
    node.state.onFirst = () => {
      node.state.admits = false;
    };
    const { events } = await begin(node, 3, { signal: client.signal });
    const reader = events[Symbol.asyncIterator]();
    await reader.next();
    expect(node.path.inEngine).toBe(3);
    const end = (async () => {
      while ((await reader.next()).done !== true);
    })();
    client.abort(new AdaptletError('REQUEST_CANCELLED', 'left'));
    await expect(end).rejects.toMatchObject({ code: 'REQUEST_CANCELLED' });
    expect(node.references.get('good')).toBe(0);
    expect(openOf(node)).toBe(0);
    expect(node.path.inEngine).toBe(0);
  });

  it('have one copy, of the first, once all are complete; the mirror knows how many are in the engine', async () => {
    const node = start();
    const loads: number[] = [];
    const seen: GenerationEvent[] = [];
    const offered: object[] = [];
    const copied = { observe: (event: GenerationEvent) => void seen.push(event), copy: () => ({ copy: 1 }) };
    const mirror = {
      generation: (_: unknown, __: unknown, ___: string, request: object) => {
        expect(request).not.toHaveProperty('choices');
        return copied;
      },
      loadChanged: (inEngine: number) => void loads.push(inEngine),
      offer: (copy: object) => void offered.push(copy),
    } as unknown as Parameters<typeof node.withMirror>[0];
    const path = node.withMirror(mirror);
    await Array.fromAsync((await begin({ ...node, path }, 3)).events);
    expect(seen.map(({ kind, choice }) => [kind, choice])).toEqual([
      ['token', 0],
      ['done', 0],
    ]);
    expect(offered).toEqual([{ copy: 1 }]);
    expect(loads).toEqual([1, 3, 0]);
  });

  it('end together when their reader leaves, also those that wait for their turn', async () => {
    const node = start({ requests: { limit: 8 } });
    node.state.onFirst = () => {
      // All but the first one wait in the queue.
      node.state.admits = false;
    };
    const { events } = await begin(node, 3);
    for await (const _ of events) break;
    expect(node.references.get('good')).toBe(0);
    expect(openOf(node)).toBe(0);
  });
});

describe('limits of the namespace', () => {
  it('each answer counts as a request until the last one is complete', async () => {
    const node = start({ requests: { limit: 4 } });
    const { events } = await begin(node, 3);
    expect(openOf(node)).toBe(3);
    await expect(begin(node, 2)).rejects.toMatchObject({ code: 'NAMESPACE_REQUESTS' });
    await Array.fromAsync(events);
    expect(openOf(node)).toBe(0);
    expect((await node.ask('good')).events).toHaveLength(2);
  });

  it('more answers than it may ever have are refused as what they are: no retry helps', async () => {
    const node = start({ requests: { limit: 2 } });
    await expect(begin(node, 3)).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      what: expect.stringContaining('3 answers are asked for'),
    });
  });

  const tokensOf = ({ quotas }: Node): number | undefined =>
    quotas
      .views({ adapterMemory: () => 0, adapterDisk: () => 0 })
      .find(({ limit }) => limit === 'tokensPerMinute')?.used;

  it('tokens of all answers are counted', async () => {
    const node = start({ tokensPerMinute: 1000 });
    await Array.fromAsync((await begin(node, 3)).events);
    // Of each answer two for its token, and one for the prompt, of which the engine kept nothing.
    expect(tokensOf(node)).toBe(9);
  });

  it.each([
    ['began, also where nobody read them', true, 3 * 102],
    ['wait do not cost theirs', false, 102],
  ])('prompts count of answers that are given up: those that %s', async (_, admits, tokens) => {
    const node = start({ tokensPerMinute: 1000 });
    node.state.onFirst = () => {
      node.state.admits = admits;
    };
    const prompt = { kind: 'ids', ids: Array.from({ length: 100 }, () => 1) } as const;
    const { events } = await node.path.generate(
      { namespace: 'default', model: 'good', headers: new Map() },
      { ...node.request, prompt, choices: 3 },
      new AbortController().signal,
    );
    for await (const _event of events) break;
    expect(tokensOf(node)).toBe(tokens);
  });
});
