import { getEventListeners } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from '../support/wait.ts';
import {
  ask,
  babble,
  failsWith,
  launchTiny,
  request,
  startTiny,
  type TestEngine,
  withNaN,
} from './support/engine.ts';

describe('the engine process', () => {
  let tiny: TestEngine;
  const load = (name: string) => tiny.engine.load(name, tiny.files[name] ?? '');

  beforeAll(async () => {
    tiny = await startTiny();
    await Promise.all(['upper', 'reverse'].map(load));
  });
  afterAll(() => tiny.engine.close());

  it('says what it is', () => {
    expect(tiny.engine.info()).toMatchObject({
      architecture: 'llama',
      contextLength: 256,
      vocabSize: 259,
      executionProvider: 'CPUExecutionProvider',
      engineVersion: expect.stringMatching(/^\d+\+ort-\d/),
      graphDigest: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  it('gives interleaved streams of two adapters and the base the text that each gives alone', async () => {
    const inputs = ['moon:', 'fish:'].flatMap((text) =>
      ['upper', 'reverse', null].map((name) => request(name, text)),
    );
    const alone = [];
    for (const input of inputs) alone.push((await ask(tiny.engine, input)).text);
    expect(alone.slice(0, 3)).toEqual([' MOON!', ' noom.', ' moon moon.']);
    for (let round = 0; round < 3; round += 1) {
      const together = await Promise.all(inputs.map((input) => ask(tiny.engine, input)));
      expect(together.map(({ text }) => text)).toEqual(alone);
    }
  });

  it('reports tokens, times and the cost of a switch', async () => {
    await ask(tiny.engine, request('upper', 'moon:'));
    const same = await ask(tiny.engine, request('upper', 'moon:'));
    expect(same.done).toMatchObject({
      finishReason: 'stop',
      promptTokens: 5,
      completionTokens: same.ids.length,
    });
    expect(same.done.timing.switchMs).toBe(0);
    const other = await ask(tiny.engine, request('reverse', 'moon:'));
    expect(other.done.timing.switchMs).toBeGreaterThan(0);
    for (const ms of [other.done.timing.prefillMs, other.done.timing.decodeMs]) expect(ms).toBeGreaterThan(0);
  });

  it('leaves nothing at the signal of a request that is answered: its end is no error to anybody', async () => {
    const { signal } = new AbortController();
    for await (const event of tiny.engine.generate(request('upper', 'moon:'), signal))
      expect(getEventListeners(signal, 'abort')).toHaveLength(event.kind === 'done' ? 0 : 1);
  });

  it('says with the first token, and with no other, how long the steps up to it took, and what they computed', async () => {
    const input = request('upper', 'moon:');
    const events = await Array.fromAsync(tiny.engine.generate(input, new AbortController().signal));
    const tokens = events.filter((event) => event.kind === 'token');
    const done = events.find((event) => event.kind === 'done');
    expect(tokens.map((token) => token.firstTokenMs)).toEqual([
      done?.timing.prefillMs,
      ...tokens.slice(1).map(() => undefined),
    ]);
    expect(tokens.map(({ computedTokens }) => computedTokens)).toEqual([
      done?.promptTokens,
      ...tokens.slice(1).map(() => undefined),
    ]);
    expect(done?.timing.prefillMs).toBeGreaterThan(0);
  });

  it('ends at the length asked for and before a stop string', async () => {
    const short = await ask(tiny.engine, request(null, 'moon:', { maxTokens: 5 }));
    expect(short).toMatchObject({ text: ' moon', done: { finishReason: 'length', completionTokens: 5 } });
    const stopped = await ask(tiny.engine, request(null, 'moon:', { stop: ['n m'] }));
    expect(stopped).toMatchObject({ text: ' moo', done: { finishReason: 'stop' } });
  });

  it('draws the same tokens for the same seed', async () => {
    const [first, second] = [
      await ask(tiny.engine, babble('upper', 60)),
      await ask(tiny.engine, babble('upper', 60)),
    ];
    expect(first.ids).toHaveLength(60);
    expect(second.ids).toEqual(first.ids);
  });

  it('probes an adapter against the base', async () => {
    const probe = await tiny.engine.probe('upper');
    expect(probe.finite).toBe(true);
    expect(probe.maxDifference).toBeGreaterThan(1);
    expect(await tiny.engine.probe('upper')).toEqual(probe);
  });

  it('ends a request whose logits are not finite, names the adapter, and serves the others', async () => {
    await tiny.engine.load('broken', await withNaN(tiny.files['digits'] ?? ''));
    expect(await tiny.engine.probe('broken')).toEqual({ finite: false, maxDifference: Infinity });
    const [broken, good] = await Promise.allSettled([
      ask(tiny.engine, request('broken', 'moon:')),
      ask(tiny.engine, request('upper', 'moon:')),
    ]);
    expect(broken).toMatchObject({ reason: failsWith('LOGITS_NOT_FINITE', 'adapter broken') });
    expect(good).toMatchObject({ value: { text: ' MOON!' } });
    await tiny.engine.unload('broken');
  });

  it.each([
    ['PROMPT_TOO_LONG', request(null, 'x'.repeat(250))],
    ['ADAPTER_NOT_AVAILABLE', request('nobody', 'moon:')],
    ['REQUEST_INVALID', request(null, '')],
    ['REQUEST_INVALID', request(null, 'moon:', { maxTokens: 0 })],
    ['REQUEST_INVALID', request(null, '', { prompt: { kind: 'ids', ids: [259] } })],
    ['REQUEST_INVALID', request(null, 'moon:', { sampling: { temperature: -1, topK: 0, topP: 1 } })],
  ])('refuses with %s what it cannot answer', async (code, input) => {
    await expect(ask(tiny.engine, input)).rejects.toEqual(failsWith(code));
  });

  it('fills the context to the last token, and takes long prompts in parts', async () => {
    const answer = await ask(tiny.engine, request(null, 'red'.repeat(80), { maxTokens: 16 }));
    expect(answer.done.promptTokens).toBe(240);
  });

  it('cancels within a step: the caller hears at once, the others go on', async () => {
    const control = new AbortController();
    const events = tiny.engine.generate(babble('upper', 200), control.signal)[Symbol.asyncIterator]();
    await events.next();
    control.abort(new Error('the client left'));
    await expect(events.next()).rejects.toEqual(failsWith('REQUEST_CANCELLED'));
    // An adapter that a cancelled request used can be freed: nothing holds it any more.
    await tiny.engine.unload('upper');
    await load('upper');
    await expect(ask(tiny.engine, request('upper', 'moon:'), control.signal)).rejects.toEqual(
      failsWith('REQUEST_CANCELLED'),
    );
    expect((await ask(tiny.engine, request('upper', 'moon:'))).text).toBe(' MOON!');
  });

  it('stops for a reader who breaks off', async () => {
    for await (const event of tiny.engine.generate(babble('reverse', 200), new AbortController().signal)) {
      if (event.kind === 'token') break;
    }
    await tiny.engine.unload('reverse');
    await load('reverse');
  });

  it('waits for a slow reader without holding up the others, and loses nothing', async () => {
    const whole = await ask(tiny.engine, babble('upper', 200));
    const events = tiny.engine.generate(babble('upper', 200), new AbortController().signal);
    const slow = events[Symbol.asyncIterator]();
    const ids: number[] = [];
    const read = async (count: number): Promise<void> => {
      for (let n = 0; n < count; n += 1) {
        const { value } = await slow.next();
        if (value?.kind === 'token') ids.push(...value.ids);
      }
    };
    await read(1);
    for (let n = 0; n < 5; n += 1)
      expect((await ask(tiny.engine, request('reverse', 'moon:'))).text).toBe(' noom.');
    await read(200);
    expect(ids).toEqual(whole.ids);
  });

  it('refuses one request more than it takes with QUEUE_FULL and a time to come back', async () => {
    const asked = await Promise.allSettled(
      Array.from({ length: 12 }, () => ask(tiny.engine, babble('upper', 30))),
    );
    const refused = asked.filter((result) => result.status === 'rejected');
    expect(refused).toHaveLength(4);
    for (const { reason } of refused) {
      expect(reason).toMatchObject({ code: 'QUEUE_FULL', retryAfterMs: expect.any(Number) });
      // An estimate, from the rate at which requests ended of late.
      expect(reason.retryAfterMs).toBeGreaterThanOrEqual(250);
      expect(reason.retryAfterMs).toBeLessThanOrEqual(30_000);
    }
    expect((await ask(tiny.engine, request('upper', 'moon:'))).text).toBe(' MOON!');
  });

  it('frees an adapter only when the requests that use it are over', async () => {
    const running = ask(tiny.engine, babble('upper', 100));
    await ask(tiny.engine, request('reverse', 'moon:'));
    const unloading = tiny.engine.unload('upper');
    await expect(ask(tiny.engine, request('upper', 'moon:'))).rejects.toEqual(
      failsWith('ADAPTER_NOT_AVAILABLE'),
    );
    expect((await running).ids).toHaveLength(100);
    await unloading;
    await load('upper');
  });

  it('keeps answers right while memory is put together under running requests', async () => {
    const { engine, files } = await startTiny({ adapterBudgetBytes: 64 << 10 });
    const names: string[] = [];
    for (let full = false; !full; ) {
      const name = `upper-${names.length}`;
      full = await engine.load(name, files['upper'] ?? '').then(
        () => false,
        () => true,
      );
      if (!full) names.push(name);
    }
    const over = new AbortController();
    const asking = [names.length - 1, names.length - 3].map(async (at) => {
      for (let asked = 0; !over.signal.aborted || asked < 5; asked += 1) {
        expect((await ask(engine, request(names[at] ?? '', 'moon:'))).text).toBe(' MOON!');
      }
    });
    // Every second one goes: no gap is large enough for an adapter of twice the size.
    const last = names.length - 1;
    for (let at = last - 1; at >= 0; at -= 2) await engine.unload(names[at] ?? '');
    for (let round = 0; round < 3; round += 1) {
      await engine.load(`reverse-${round}`, files['reverse'] ?? '');
      expect((await ask(engine, request(`reverse-${round}`, 'moon:'))).text).toBe(' noom.');
    }
    over.abort();
    await Promise.all(asking);
    await engine.close();
  });

  it('asks each time it begins what the disk budget leaves, and prepares no graph that does not fit', async () => {
    let room = 0;
    const { engine, log, folder } = launchTiny({ cacheRoomBytes: () => room });
    const prepared = (): readonly string[] => readdirSync(join(folder, 'cache/prepared'));
    await waitFor('the engine', () => engine.state === 'ready');
    expect(JSON.stringify(log)).toMatch(/the weights cannot be shared, .* do not fit the disk budget/);
    expect(prepared()).toEqual([]);
    room = 2 ** 30;
    const { pid } = engine;
    process.kill(pid ?? 0, 'SIGKILL');
    await waitFor('another process', () => engine.state === 'ready' && engine.pid !== pid);
    expect(prepared()).toHaveLength(1);
    await engine.close();
  });

  it('closes cleanly under load: its calls are told, its process is gone', async () => {
    const other = await startTiny();
    const { engine, files, log } = other;
    await engine.load('upper', files['upper'] ?? '');
    const pid = engine.pid ?? 0;
    const running = ask(engine, babble('upper', 200));
    const outcome = expect(running).rejects.toEqual(failsWith('ENGINE_DOWN'));
    await waitFor('a start', () => engine.state === 'ready');
    await engine.close();
    await outcome;
    expect(engine.state).toBe('closed');
    expect(() => process.kill(pid, 0)).toThrow(/ESRCH/);
    await expect(engine.load('upper', files['upper'] ?? '')).rejects.toEqual(
      failsWith('ENGINE_DOWN', 'closed'),
    );
    expect(log.filter(({ level }) => level === 'error' || level === 'warn')).toEqual([]);
  });
});
