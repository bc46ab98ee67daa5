import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { openModelFolder } from '../../src/runtime/engine/model/folder.ts';
import { TextThread } from '../../src/runtime/engine/model/text-thread.ts';
import { openTextCodec } from '../../src/runtime/engine/model/tokenizer.ts';
import { systemClock } from '../../src/time/clock.ts';
import { FakeClock } from '../../src/time/fake-clock.ts';
import { ask, babble, failsWith, request, startTiny, type TestEngine } from './support/engine.ts';
import { endless, TestHost } from './support/host.ts';
import { tinyModel } from './support/tiny.ts';

/** A word of so many characters, of three bytes each. */
const chinese = (count: number): string =>
  String.fromCodePoint(...Array.from({ length: 1000 }, (_, at) => 0x4e00 + at * 7)).repeat(count / 1000);
const prompt = (text: string) => ({ kind: 'text', text }) as const;
const forever = new AbortController().signal;
const caller = { tenant: '', signal: forever };

describe('an engine that is given a long text', () => {
  let tiny: TestEngine;
  beforeAll(async () => {
    tiny = await startTiny();
    await tiny.engine.load('upper', tiny.files['upper'] ?? '');
  });
  afterAll(() => tiny.engine.close());

  it('goes on with the tokens of others while it becomes tokens', async () => {
    const { engine } = tiny;
    let tokens = 0;
    const refused = ask(engine, request(null, chinese(131_000))).then(
      () => expect.unreachable(),
      (error: unknown) => ({ error, tokens }),
    );
    let over = false;
    void refused.finally(() => {
      over = true;
    });
    while (!over)
      for await (const event of engine.generate(babble(null, 200), forever))
        tokens += event.kind === 'token' ? 1 : 0;
    const result = await refused;
    expect(result.error).toEqual(failsWith('PROMPT_TOO_LONG', 'maximum context length is 256 tokens'));
    expect(result.tokens).toBeGreaterThan(20);
  });

  it('lets a caller leave, and gives the adapter back at once', async () => {
    const { engine } = tiny;
    const leaving = new AbortController();
    const asked = ask(engine, request('upper', chinese(131_000)), leaving.signal);
    leaving.abort();
    await expect(asked).rejects.toEqual(failsWith('REQUEST_CANCELLED'));
    await engine.unload('upper');
    await engine.load('upper', tiny.files['upper'] ?? '');
    expect((await ask(engine, request('upper', 'moon:'))).text).toBe(' MOON!');
  });
});

/** Characters that become tokens on this thread in each turn of its loop, until the end of the test. */
const turnsOf = (codec: TestHost['codec']): readonly number[] => {
  const turns: number[] = [];
  let inTurn = false;
  const encode = codec.encode.bind(codec);
  const spy = vi.spyOn(codec, 'encode').mockImplementation((given) => {
    if (!inTurn) {
      turns.push(0);
      inTurn = true;
      setImmediate(() => {
        inTurn = false;
      });
    }
    turns.push((turns.pop() ?? 0) + (given.kind === 'text' ? given.text.length : 0));
    return encode(given);
  });
  onTestFinished(() => spy.mockRestore());
  return turns;
};

describe('the thread that starts steps', () => {
  it('makes tokens of 4,096 characters at most before the next step can start, however many and long texts come', async () => {
    const host = await TestHost.open(tinyModel('fp32'));
    const turns = turnsOf(host.codec);
    const answer = host.start(endless(null, 'moon:', 200));
    await answer.given(1);
    const texts = [chinese(131_000), ...Array.from({ length: 12 }, () => chinese(1000))];
    const asked = await Promise.allSettled(texts.map(async (text) => await host.ask(request(null, text))));
    for (const one of asked)
      expect(one).toEqual({
        status: 'rejected',
        reason: failsWith('PROMPT_TOO_LONG', 'maximum context length is 256 tokens'),
      });
    expect((await answer.answer).ids).toHaveLength(200);
    // Short ones that came first are made here.
    expect(turns).toEqual([5, 4000]);
    await host.close();
  });
});

describe('the thread that makes tokens of long texts', () => {
  const model = openModelFolder(tinyModel('fp32'));
  const threads: TextThread[] = [];
  const start = (more: Partial<ConstructorParameters<typeof TextThread>[0]> = {}): TextThread => {
    const thread = new TextThread({ model, vocabSize: 259, clock: systemClock, ...more });
    threads.push(thread);
    return thread;
  };
  afterAll(() => Promise.all(threads.map((thread) => thread.close())));

  it('makes those that the tokenizer makes', async () => {
    const codec = openTextCodec(model, 259);
    const thread = start();
    const text = `moon: ${chinese(2000)}`;
    const ids = codec.encode(prompt(text));
    expect(await thread.encode(prompt(text), 1e6, caller)).toEqual({
      count: ids.length,
      ids: Uint32Array.from(ids),
    });
    expect(await thread.encode(prompt(text), 10, caller)).toEqual({ count: ids.length, ids: undefined });
    expect(await thread.encodeInput(text, 7, caller)).toEqual(codec.encodeInput(text, 7));
    await expect(thread.encode(prompt(''), 10, caller)).rejects.toEqual(
      failsWith('REQUEST_INVALID', 'no tokens'),
    );
  });

  it('takes the shortest of those that wait', async () => {
    const thread = start();
    const order: number[] = [];
    const all = [60_000, 50_000, 20_000, 40_000].map(async (count) => {
      await thread.encode(prompt(chinese(count)), 1, caller);
      order.push(count);
    });
    await Promise.all(all);
    expect(order).toEqual([60_000, 20_000, 40_000, 50_000]);
  });

  it('ends with a text that takes too much memory, and another one takes the next', async () => {
    const thread = start({ megabytes: 16 });
    const large = thread.encode(prompt(chinese(1_000_000)), 1, caller);
    const next = thread.encode(prompt('moon:'), 10, caller);
    await expect(large).rejects.toEqual(failsWith('PROMPT_TOO_LONG', '1000000 characters'));
    expect((await next).count).toBe(5);
    expect((await thread.encode(prompt('moon:'), 10, caller)).count).toBe(5);
  });

  it('ends with a text that takes too long', async () => {
    const clock = new FakeClock();
    const thread = start({ clock });
    const large = thread.encode(prompt(chinese(1_000_000)), 1, caller);
    clock.advance(10_001);
    await expect(large).rejects.toEqual(failsWith('PROMPT_TOO_LONG', 'too much time'));
    expect((await thread.encode(prompt('moon:'), 10, caller)).count).toBe(5);
  });

  it('refuses texts when too many wait', async () => {
    const thread = start({ clock: new FakeClock() });
    const text = 'x'.repeat(4 << 20);
    const leaving = new AbortController();
    const asked = [1, 2, 3].map(() => thread.encode(prompt(text), 1, { tenant: '', signal: leaving.signal }));
    await expect(thread.encode(prompt(text), 1, caller)).rejects.toEqual(failsWith('QUEUE_FULL', '2 texts'));
    leaving.abort(new Error('left'));
    for (const one of asked) await expect(one).rejects.toThrow('left');
  });
});
