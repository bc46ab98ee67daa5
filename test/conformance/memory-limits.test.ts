import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { folderOfFile } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait.ts';
import { ask, request, startTiny, type TestEngine } from './support/engine.ts';
import { eight, endless, TestHost } from './support/host.ts';
import { tinyModel } from './support/tiny.ts';

/** Of a row of up to 64 tokens. */
const rowBytes = 8 * 4096;
const unlimited = { kvBytes: Number.POSITIVE_INFINITY, givesBack: false };

describe('an engine whose memory becomes less', () => {
  let host: TestHost;
  beforeAll(async () => {
    host = await TestHost.tiny(tinyModel('fp32'), { maxConcurrent: 4 }, folderOfFile());
  });
  afterAll(() => host.close());

  it('lets go of what is kept, refuses what could not begin, and gives the same answers after it', async () => {
    const input = endless('upper', 'moon: fish: ', 30, { scope: 's' });
    const before = await host.ask(input);
    const { kvHeldBytes, kvSparableBytes } = host.host.now();
    expect([kvHeldBytes, kvSparableBytes]).toEqual([rowBytes, rowBytes]);
    host.host.limit({ kvBytes: 0, givesBack: true });
    await waitFor('room', () => host.host.now().kvHeldBytes === 0);
    // What cannot begin is refused before anything is done.
    const again = async () => await host.ask(input);
    await expect(again()).rejects.toMatchObject({ code: 'MEMORY_PRESSURE', retryAfterMs: 5000 });
    host.host.limit(unlimited);
    await waitFor('an answer', async () => {
      const answer = await again().catch(() => undefined);
      return answer === undefined ? false : answer.ids.join() === before.ids.join();
    });
  });

  it('ends nothing that runs: those that find no room to grow wait, and all give what they give alone', async () => {
    const alone = await host.alone(eight);
    const asked = eight.map((input) => host.start(input));
    await asked[0]?.given(3);
    // Each can begin by itself, and hardly any two of them grow.
    host.host.limit({ kvBytes: 4 * rowBytes, givesBack: true });
    const answers = await Promise.all(asked.map(async ({ answer }) => (await answer).ids));
    expect(answers).toEqual(alone);
    host.host.limit(unlimited);
  });
});

describe('an engine process that is limited', () => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await startTiny();
  });
  afterAll(() => engine.engine.close());

  it('tells what it has let go of, and the one that comes after it has the same limit', async () => {
    const input = request(null, 'moon: fish: star: dog:', { scope: 's' });
    const { text } = await ask(engine.engine, input);
    await waitFor('what is kept', () => (engine.engine.now?.kvSparableBytes ?? 0) > 0);
    engine.engine.limit({ kvBytes: 0, givesBack: true });
    await waitFor('nothing kept', () => engine.engine.now?.kvHeldBytes === 0);
    process.kill(engine.engine.pid ?? 0, 'SIGKILL');
    await waitFor('its end', () => engine.engine.state === 'down');
    await waitFor('another one', () => engine.engine.state === 'ready');
    await expect(ask(engine.engine, input)).rejects.toMatchObject({ code: 'MEMORY_PRESSURE' });
    engine.engine.limit(unlimited);
    await waitFor(
      'an answer',
      async () => (await ask(engine.engine, input).catch(() => undefined))?.text === text,
    );
  });
});
