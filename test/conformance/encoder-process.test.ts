import { platform } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import {
  type EngineClient,
  type EngineOptions,
  startEngine,
} from '../../src/runtime/engine/client/client.ts';
import { silentLog } from '../../src/telemetry/log.fixture.ts';
import { systemClock } from '../../src/time/clock.ts';
import { StoppedThreads } from '../support/stopped-threads.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait.ts';
import { bertHidden, writeBertModel } from './support/bert-model.ts';

const folder = folderOfTests();
const engines: EngineClient[] = [];
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.close()));
});

/** An encoder in a process of its own, which waits for a batch of two texts unless it is cancelled. */
const start = async (more: Partial<EngineOptions> = {}): Promise<EngineClient> => {
  const engine = startEngine({
    modelDir: writeBertModel(join(folder, 'model')),
    cacheDir: join(folder, 'cache'),
    adapterBudgetBytes: 1 << 20,
    threads: 1,
    maxConcurrent: 1,
    maxQueue: 1,
    maxBatch: 2,
    maxBatchDelayMs: 600_000,
    clock: systemClock,
    logger: silentLog,
    stallTimeoutMs: 20_000,
    ...more,
  });
  engines.push(engine);
  await waitFor('the engine', () => engine.state === 'ready');
  return engine;
};

let asked = 0;
const input = (texts: number, adapter: string | null = null) => {
  asked += 1;
  const tokens = { kind: 'ids', ids: [3, 5, 7] } as const;
  return {
    requestId: String(asked),
    engineName: adapter,
    texts: Array.from({ length: texts }, () => tokens),
    output: 'embedding',
  } as const;
};
const never = new AbortController().signal;

describe('an encoder in its process', () => {
  it('says at its start what adapters lack without the native operator', async () => {
    const lines: string[] = [];
    await start({
      loraOperator: 'off',
      logger: { ...silentLog, warn: (keys) => lines.push(JSON.stringify(keys)) },
    });
    await waitFor('the line', () => lines.join().includes('do not share a step'));
  });

  it('says what it is, and answers', async () => {
    const engine = await start();
    expect(engine.info()).toMatchObject({
      task: 'embed',
      encoder: {
        dimensions: bertHidden,
        headFeatures: bertHidden,
        maxTokens: 16,
        pooling: 'mean',
        normalize: true,
      },
    });
    const result = await engine.encode(input(2), never);
    expect(result).toMatchObject({ kind: 'embedding', promptTokens: 6, truncated: [] });
    expect(result.rows).toHaveLength(2);
  });

  it('gives up a request whose caller leaves, and runs nothing of it', async () => {
    const engine = await start();
    const caller = new AbortController();
    const left = engine.encode(input(1), caller.signal);
    caller.abort(new Error('gone'));
    await expect(left).rejects.toMatchObject({ code: 'REQUEST_CANCELLED' });
    const [one, two] = [engine.encode(input(1), never), engine.encode(input(1), never)];
    expect((await one).rows).toHaveLength(1);
    expect((await two).rows).toHaveLength(1);
    await expect(engine.encode(input(1), AbortSignal.abort())).rejects.toMatchObject({
      code: 'REQUEST_CANCELLED',
    });
  });

  it('refuses more requests than may wait, and forgets those that are over', async () => {
    const engine = await start({ maxQueue: 0 });
    const wrong = { ...input(1), texts: [{ kind: 'ids', ids: [99] }] } as const;
    await expect(engine.encode(wrong, never)).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    const caller = new AbortController();
    const waiting = engine.encode(input(1), caller.signal);
    await expect(engine.encode(input(1), never)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    caller.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'REQUEST_CANCELLED' });
    expect((await engine.encode(input(2), never)).rows).toHaveLength(2);
  });

  it('that is full lets go of a request of the namespace with most for one of another namespace', async () => {
    const engine = await start({ maxQueue: 0 });
    const greedy = engine.encode({ ...input(1), namespace: 'a' }, never);
    await expect(engine.encode({ ...input(1), namespace: 'a' }, never)).rejects.toMatchObject({
      code: 'QUEUE_FULL',
    });
    const sure = engine.encode({ ...input(2), namespace: 'b', guaranteed: 1 }, never);
    await expect(greedy).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    expect((await sure).rows).toHaveLength(2);
  });

  it('refuses what encoders do not do, and adapters that are not there', async () => {
    const engine = await start();
    const prompt = { kind: 'text', text: 'x' } as const;
    const sampling = { temperature: 0, topK: 0, topP: 1 };
    const generation = engine.generate(
      { requestId: 'g', engineName: null, prompt, maxTokens: 1, sampling, stop: [] },
      never,
    );
    await expect(Array.fromAsync(generation)).rejects.toMatchObject({ code: 'TASK_UNSUPPORTED' });
    await expect(engine.infer({ requestId: 'i', inputs: [] }, never)).rejects.toMatchObject({
      code: 'TASK_UNSUPPORTED',
    });
    await expect(engine.encode(input(2, 'nobody'), never)).rejects.toMatchObject({
      code: 'ADAPTER_NOT_AVAILABLE',
    });
  });

  it('fails its requests when it is killed, and answers again after its restart', async () => {
    const engine = await start();
    const request = input(1);
    const lost = engine.encode(request, never);
    process.kill(engine.pid ?? 0, 'SIGKILL');
    await expect(lost).rejects.toMatchObject({ code: 'ENGINE_DOWN' });
    expect(engine.workAtEnd).toEqual(new Map([[request.requestId, { engineName: null, events: 0 }]]));
    await waitFor('the restart', () => engine.state === 'ready');
    expect((await engine.encode(input(2), never)).rows).toHaveLength(2);
  });

  it.runIf(platform() === 'linux')(
    'worked on a request whose caller left while some of its texts ran, when it is killed',
    async () => {
      const engine = await start();
      const stopped = new StoppedThreads(engine.pid ?? 0, 'libuv-worker');
      const [caller, request] = [new AbortController(), input(3)];
      /** It has read what was sent before. */
      const upToDate = () =>
        expect(
          engine.encode({ ...input(1), texts: [{ kind: 'ids', ids: [99] }] }, never),
        ).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
      const left = engine.encode(request, caller.signal);
      await upToDate();
      caller.abort();
      await expect(left).rejects.toMatchObject({ code: 'REQUEST_CANCELLED' });
      await upToDate();
      process.kill(engine.pid ?? 0, 'SIGKILL');
      await waitFor('the end', () => {
        stopped.lookAfter();
        return engine.state === 'down';
      });
      expect([...engine.workAtEnd.keys()]).toEqual([request.requestId]);
    },
  );
});
