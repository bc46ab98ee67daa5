import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { adapter, dataPathOver, good, planOf, route } from './data-path.fixture.ts';
import { policy } from './quotas/policy-table.fixture.ts';

const start = (limits: Parameters<typeof policy>[1]) =>
  dataPathOver(planOf(adapter('good'), policy('default', limits)), { 'default/good': good });

const openOf = ({ quotas }: ReturnType<typeof start>): number | undefined =>
  quotas.views({ adapterMemory: () => 0, adapterDisk: () => 0 }).find(({ limit }) => limit === 'requests')
    ?.used;

const begin = (node: ReturnType<typeof start>, signal = new AbortController().signal) =>
  node.path.generate({ namespace: 'default', model: 'good', headers: new Map() }, node.request, signal);

describe('a request is open', () => {
  it('until its last event was read, and one beyond the limit is refused before anything is done for it', async () => {
    const node = start({ requests: { limit: 1 } });
    const generation = await begin(node);
    await expect(begin(node)).rejects.toMatchObject({ code: 'NAMESPACE_REQUESTS' });
    expect(node.asked).toHaveLength(1);
    await Array.fromAsync(generation.events);
    expect(openOf(node)).toBe(0);
    await node.ask('good');
    node.state.task = 'embed';
    await node.embed('good');
    expect(openOf(node)).toBe(0);
  });

  it('no more once it failed, before its answer began or after', async () => {
    const node = start({ requests: { limit: 1 } });
    node.state.fail = new AdaptletError('INTERNAL', 'broken');
    await expect(node.ask('good')).rejects.toThrow(/broken/);
    await expect(node.embed('good')).rejects.toMatchObject({ code: 'TASK_UNSUPPORTED' });
    node.state.failAfterFirst = true;
    await expect(node.ask('good')).rejects.toThrow(/broken/);
    await expect(node.ask('nobody')).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
    expect(openOf(node)).toBe(0);
  });

  it('no more once its reader left', async () => {
    const node = start({ requests: { limit: 1 } });
    const { events } = await begin(node);
    for await (const _ of events) break;
    expect(openOf(node)).toBe(0);
  });
});

describe('tokens are counted', () => {
  const usedOf = ({ quotas }: ReturnType<typeof start>): number | undefined =>
    quotas
      .views({ adapterMemory: () => 0, adapterDisk: () => 0 })
      .find(({ limit }) => limit === 'tokensPerMinute')?.used;

  it('one for each of a prompt, two for each of an answer', async () => {
    const node = start({ tokensPerMinute: 1000 });
    await node.ask('good');
    expect(usedOf(node)).toBe(3);
  });

  it('of an answer that its reader left: what came, and its prompt', async () => {
    const node = start({ tokensPerMinute: 1000 });
    const prompt = { kind: 'ids', ids: Array.from({ length: 100 }, () => 1) } as const;
    const { events } = await node.path.generate(
      { namespace: 'default', model: 'good', headers: new Map() },
      { ...node.request, prompt },
      new AbortController().signal,
    );
    for await (const _ of events) break;
    expect(usedOf(node)).toBe(102);
  });

  it('of a prompt under which the engine ended, of none that was refused for another reason', async () => {
    const node = start({ tokensPerMinute: 1000 });
    node.state.fail = new AdaptletError('INTERNAL', 'broken');
    await expect(node.ask('good')).rejects.toThrow(/broken/);
    expect(usedOf(node)).toBe(0);
    node.state.fail = new AdaptletError('ENGINE_DOWN', 'gone');
    await expect(node.ask('good')).rejects.toThrow(/gone/);
    expect(usedOf(node)).toBe(1);
  });

  it.each([
    ['each prompt of a list under which the engine ended before it began', 'ENGINE_DOWN', 53],
    ['no such prompt where the list failed for another reason', 'INTERNAL', 3],
  ] as const)('of %s', async (_, code, used) => {
    const node = start({ tokensPerMinute: 1000 });
    const prompt = (tokens: number) =>
      ({ kind: 'ids', ids: Array.from({ length: tokens }, () => 1) }) as const;
    const { events } = await node.path.generate(
      { namespace: 'default', model: 'good', headers: new Map() },
      { ...node.request, morePrompts: [prompt(20), prompt(30)], choices: 2 },
      new AbortController().signal,
    );
    node.state.fail = new AdaptletError(code, 'gone');
    await expect(Array.fromAsync(events)).rejects.toThrow(/gone/);
    expect(usedOf(node)).toBe(used);
  });

  it('and the next request is refused when they are used up', async () => {
    const node = start({ tokensPerMinute: 3 });
    await node.ask('good');
    await expect(node.ask('good')).rejects.toMatchObject({ code: 'NAMESPACE_TOKENS' });
    node.clock.advance(60_000);
    await node.ask('good');
  });
});

it('the engine hears whose request it is, and how many of its namespace are sure to run', async () => {
  const node = start({ requests: { guarantee: 3 } });
  await node.ask('good');
  expect(node.asked[0]).toMatchObject({ namespace: 'default', tenant: '', guaranteed: 3, loadedBytes: 0 });
  node.state.task = 'embed';
  await node.embed('good');
  expect(node.encoded[0]).toMatchObject({ namespace: 'default', tenant: '', guaranteed: 3, loadedBytes: 0 });
});

it('a pattern that is made to be slow gets its share of the thread that serves everybody, and then none', async () => {
  const to = { targets: [{ adapter: 'good', weight: 1 }], hashOn: 'User', fallback: [] };
  const slow = { name: 'slow', matches: [{ promptRegex: '[ab]*a[ab]{900}[cd]' }], ...to };
  const rules = route([slow, { name: 'rest', matches: [], ...to }]);
  const node = dataPathOver(planOf(adapter('good'), rules), { 'default/good': good });
  const request = { ...node.request, prompt: { kind: 'text', text: 'a'.repeat(2048) } } as const;
  const never = new AbortController().signal;
  const ask = async (): Promise<string> => {
    try {
      const context = { namespace: 'default', model: 'front', headers: new Map() };
      await Array.fromAsync((await node.path.generate(context, request, never)).events);
      return 'OK';
    } catch (error) {
      return error instanceof AdaptletError ? error.code : 'unknown';
    }
  };
  const codes = [await ask(), await ask()];
  while (codes.at(-1) === 'OK' && codes.length < 300) codes.push(await ask());
  expect(codes.slice(0, 2)).toEqual(['OK', 'OK']);
  expect(codes.at(-1)).toBe('NAMESPACE_ROUTING_TIME');
  expect(node.asked).toHaveLength(codes.length - 1);
  node.clock.advance(60_000);
  expect(await ask()).toBe('OK');
});
