import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { platform } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import type { EngineState } from '../../src/runtime/engine/engine.ts';
import { StoppedThreads } from '../support/stopped-threads.ts';
import { folderOfFile } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait.ts';
import { ask, babble, failsWith, request, startForTest, type TestEngine } from './support/engine.ts';
import { tinyModel } from './support/tiny.ts';

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

/** Sockets among the open files of a process, as `socket:[inode]`. */
const sockets = (pid: number | string): Set<string> =>
  new Set(
    readdirSync(`/proc/${pid}/fd`)
      .map((fd) => {
        try {
          return readlinkSync(`/proc/${pid}/fd/${fd}`);
        } catch {
          // The descriptor of this very listing.
          return '';
        }
      })
      .filter((link) => link.startsWith('socket:')),
  );

const states = ({ engine }: TestEngine): EngineState[] => {
  const seen: EngineState[] = [];
  engine.onState((state) => seen.push(state));
  return seen;
};

describe('an engine process that is killed under load', () => {
  it('fails every call under way with ENGINE_DOWN, is back by itself, and has nothing loaded', async () => {
    const tiny = await startForTest();
    const { engine, files } = tiny;
    const seen = states(tiny);
    for (let round = 0; round < 3; round += 1) {
      await engine.load('upper', files['upper'] ?? '');
      const calls = [
        ...Array.from({ length: 6 }, () => ask(engine, babble('upper', 200))),
        engine.load('reverse', files['reverse'] ?? ''),
        engine.probe('upper'),
      ];
      const outcomes = Promise.allSettled(calls);
      process.kill(engine.pid ?? 0, 'SIGKILL');
      for (const outcome of await outcomes) {
        if (outcome.status === 'rejected')
          expect(outcome.reason).toEqual(failsWith('ENGINE_DOWN', 'SIGKILL'));
      }
      expect((await outcomes).filter(({ status }) => status === 'rejected').length).toBeGreaterThanOrEqual(6);
      await waitFor('the engine again', () => engine.state === 'ready');
      await expect(ask(engine, request('upper', 'moon:'))).rejects.toEqual(
        failsWith('ADAPTER_NOT_AVAILABLE'),
      );
      await engine.load('upper', files['upper'] ?? '');
      expect((await ask(engine, request('upper', 'moon:'))).text).toBe(' MOON!');
      await engine.unload('upper');
    }
    expect(seen).toEqual([
      'down',
      'starting',
      'ready',
      'down',
      'starting',
      'ready',
      'down',
      'starting',
      'ready',
    ]);
  });

  it('worked on the requests that ran, as far as they had come, and on none that waited', async () => {
    const { engine, files } = await startForTest();
    await engine.load('upper', files['upper'] ?? '');
    const came = new Map<string, number>();
    const ids = ['1', '2', '3', '4', '5', '6'];
    const calls = ids.map(async (requestId) => {
      const asked = { ...babble(requestId === '1' ? 'upper' : null, 200), requestId };
      for await (const _ of engine.generate(asked, new AbortController().signal))
        came.set(requestId, (came.get(requestId) ?? 0) + 1);
    });
    const outcomes = Promise.allSettled(calls);
    await waitFor('four answers', () => came.size === 4);
    process.kill(engine.pid ?? 0, 'SIGKILL');
    await outcomes;
    const names = [...engine.workAtEnd].map(([id, { engineName }]) => [id, engineName]);
    expect(names).toEqual([...came.keys()].sort().map((id) => [id, id === '1' ? 'upper' : null]));
    for (const [id, { events }] of engine.workAtEnd) expect(events).toBeGreaterThanOrEqual(came.get(id) ?? 1);
  });

  it('is asked again for what other processes have still to take each time it begins', async () => {
    const asked = vi.fn(() => 0);
    const { engine } = await startForTest({ besideBytes: asked });
    expect(asked).toHaveBeenCalledTimes(1);
    process.kill(engine.pid ?? 0, 'SIGKILL');
    await waitFor('the end', () => engine.state === 'down');
    await waitFor('the engine again', () => engine.state === 'ready');
    expect(asked).toHaveBeenCalledTimes(2);
  });

  it('refuses calls while it is down, with the reason', async () => {
    const { engine, files } = await startForTest({ random: () => 1 });
    process.kill(engine.pid ?? 0, 'SIGKILL');
    await waitFor('the end', () => engine.state === 'down');
    expect(engine.failure).toEqual(failsWith('ENGINE_DOWN', 'SIGKILL'));
    await expect(engine.load('upper', files['upper'] ?? '')).rejects.toEqual(failsWith('ENGINE_DOWN'));
    await expect(ask(engine, request(null, 'moon:'))).rejects.toEqual(failsWith('ENGINE_DOWN'));
    // What it was stays known.
    expect(engine.info().vocabSize).toBe(259);
    await waitFor('the engine again', () => engine.state === 'ready');
    expect(engine.failure).toBeUndefined();
  });
});

describe('an engine process that hangs', () => {
  it('is killed after the stall timeout, while calls are under way, and started again', async () => {
    const { engine, log } = await startForTest({ stallTimeoutMs: 1200 });
    const pid = engine.pid ?? 0;
    const call = ask(engine, babble(null, 200));
    process.kill(pid, 'SIGSTOP');
    await expect(call).rejects.toEqual(failsWith('ENGINE_DOWN', 'SIGKILL'));
    expect(log.some(({ message }) => message.includes('no sign of life'))).toBe(true);
    await waitFor('another process', () => engine.state === 'ready' && engine.pid !== pid);
    expect((await ask(engine, request(null, 'moon:'))).text).toBe(' moon moon.');
  });

  it.runIf(platform() === 'linux')(
    'while it opens the model, in native code, is killed though it answers, and started again',
    async () => {
      const { engine, log } = await startForTest({ stallTimeoutMs: 1000, leastStartMs: 1000 });
      const first = engine.pid ?? 0;
      process.kill(first, 'SIGKILL');
      // As soon as it has threads that work for it.
      const { hung, stopped } = await waitFor('another process', () => {
        const pid = engine.pid ?? first;
        return pid !== first && { hung: pid, stopped: new StoppedThreads(pid, 'libuv-worker') };
      });
      expect(engine.state).not.toBe('ready');
      await waitFor('a third one', () => {
        stopped.lookAfter();
        return engine.state === 'ready' && engine.pid !== hung;
      });
      const why = log.find(({ message }) => message.includes('opening the base model does not get on'));
      expect(why?.keys).toMatchObject({ pid: hung, seconds: 20, flag: '--stall-timeout' });
      expect((await ask(engine, request(null, 'moon:'))).text).toBe(' moon moon.');
    },
  );

  it.runIf(platform() === 'linux')(
    'in a step, in native code, is killed though it answers, and started again',
    async () => {
      const { engine, log } = await startForTest({ stallTimeoutMs: 1500 });
      const pid = engine.pid ?? 0;
      const prompt = request(null, 'moon:'.repeat(20));
      // How long steps take is known then.
      await ask(engine, babble(null, 200));
      await ask(engine, prompt);
      const calls = [ask(engine, babble(null, 200)), ask(engine, prompt)];
      const outcomes = Promise.allSettled(calls);
      const stopped = new StoppedThreads(pid, 'libuv-worker');
      await waitFor('another process', () => {
        stopped.lookAfter();
        return engine.state === 'ready' && engine.pid !== pid;
      });
      for (const outcome of await outcomes)
        expect(outcome).toEqual({
          status: 'rejected',
          reason: failsWith('ENGINE_DOWN', 'because it had a step that did not end for'),
        });
      expect(log.some(({ message }) => message.includes('a step of the engine process does not end'))).toBe(
        true,
      );
      expect((await ask(engine, request(null, 'moon:'))).text).toBe(' moon moon.');
    },
  );

  it.runIf(platform() === 'linux')(
    'in a step, in native code, worked on the requests of that step, also of callers who left, and on none that came later',
    async () => {
      const { engine } = await startForTest({ stallTimeoutMs: 1500 });
      const pid = engine.pid ?? 0;
      await ask(engine, babble(null, 200));
      const leaving = new AbortController();
      const hung = engine.generate({ ...babble(null, 200), requestId: 'hung' }, leaving.signal);
      const events = hung[Symbol.asyncIterator]();
      await events.next();
      const stopped = new StoppedThreads(pid, 'libuv-worker');
      const left = Array.fromAsync({ [Symbol.asyncIterator]: () => events });
      leaving.abort();
      await expect(left).rejects.toEqual(failsWith('REQUEST_CANCELLED'));
      const later = Promise.allSettled(
        ['a', 'b'].map((requestId) => ask(engine, { ...babble(null, 200), requestId })),
      );
      await waitFor('the end', () => {
        stopped.lookAfter();
        return engine.state === 'down';
      });
      await later;
      expect([...engine.workAtEnd.keys()]).toEqual(['hung']);
    },
  );

  it('as a whole worked on what it began, also for a caller who left, and on nothing that it has not read', async () => {
    const { engine } = await startForTest({ stallTimeoutMs: 1200 });
    const pid = engine.pid ?? 0;
    const leaving = new AbortController();
    const hung = engine.generate({ ...babble(null, 200), requestId: 'hung' }, leaving.signal);
    await hung[Symbol.asyncIterator]().next();
    process.kill(pid, 'SIGSTOP');
    leaving.abort();
    await expect(ask(engine, { ...babble(null, 200), requestId: 'later' })).rejects.toEqual(
      failsWith('ENGINE_DOWN'),
    );
    expect([...engine.workAtEnd.keys()]).toEqual(['hung']);
  });

  it('is killed after the stall timeout when all callers left meanwhile', async () => {
    const { engine } = await startForTest({ stallTimeoutMs: 1200 });
    const leaving = new AbortController();
    const hung = engine.generate(babble(null, 200), leaving.signal);
    await hung[Symbol.asyncIterator]().next();
    process.kill(engine.pid ?? 0, 'SIGSTOP');
    leaving.abort();
    await waitFor('the end', () => engine.state === 'down');
  });

  it('is not killed for requests that were given up, and works on none of them any more', async () => {
    const { engine } = await startForTest({ stallTimeoutMs: 600 });
    const pid = engine.pid ?? 0;
    const leaving = new AbortController();
    const leaveAtFirst = async (): Promise<void> => {
      for await (const _event of engine.generate(babble(null, 200), leaving.signal)) leaving.abort();
    };
    const first = leaveAtFirst();
    // Some run by then, and some wait.
    const others = Array.from({ length: 5 }, () => ask(engine, babble(null, 200), leaving.signal));
    const outcomes = await Promise.allSettled([first, ...others]);
    expect(outcomes.map(({ status }) => status)).toEqual(Array.from({ length: 6 }, () => 'rejected'));
    const since = performance.now();
    await waitFor('three stall timeouts', () => performance.now() - since > 1800);
    expect(engine.pid).toBe(pid);
    process.kill(pid, 'SIGKILL');
    await waitFor('the end', () => engine.state === 'down');
    expect([...engine.workAtEnd.keys()]).toEqual([]);
  });

  it('is not killed for being idle or for a reader who takes his time', async () => {
    const { engine } = await startForTest({ stallTimeoutMs: 600 });
    const pid = engine.pid;
    const slow = engine.generate(babble(null, 200), new AbortController().signal)[Symbol.asyncIterator]();
    await slow.next();
    const since = performance.now();
    await waitFor('three stall timeouts', () => performance.now() - since > 1800);
    expect(engine.pid).toBe(pid);
    await slow.return?.();
  });
});

describe('an engine process and its parent', () => {
  it('does not end by SIGINT or SIGTERM: its parent says when', async () => {
    const { engine } = await startForTest();
    const pid = engine.pid ?? 0;
    process.kill(pid, 'SIGINT');
    process.kill(pid, 'SIGTERM');
    expect((await ask(engine, request(null, 'moon:'))).text).toBe(' moon moon.');
    expect(engine.pid).toBe(pid);
  });

  it('ends by itself when the parent was killed', async () => {
    const client = join(import.meta.dirname, '../../src/runtime/engine/client/client.ts');
    const clock = join(import.meta.dirname, '../../src/time/clock.ts');
    const quiet = '{debug(){}, info(){}, warn(){}, error(){}}';
    const code = `
      import { startEngine } from ${JSON.stringify(client)};
      import { systemClock } from ${JSON.stringify(clock)};
      const engine = startEngine({ modelDir: ${JSON.stringify(tinyModel('fp32'))}, cacheDir: ${JSON.stringify(folderOfFile())},
        adapterBudgetBytes: 1 << 20, threads: 1, maxConcurrent: 1, maxQueue: 1, clock: systemClock, stallTimeoutMs: 5000, logger: ${quiet} });
      engine.onState((state) => { if (state === 'ready') console.log(engine.pid); });`;
    const parent = spawn(process.execPath, ['--input-type=module', '--eval', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const line = await new Promise<string>((resolve) =>
      parent.stdout.once('data', (data: Buffer) => resolve(data.toString())),
    );
    const pid = Number(line.trim());
    expect(isAlive(pid)).toBe(true);
    parent.kill('SIGKILL');
    await waitFor('the end of the engine process', () => !isAlive(pid));
  });

  it.runIf(platform() === 'linux')('has no socket of its parent', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { engine } = await startForTest();
    const inodes = readFileSync('/proc/self/net/tcp', 'utf8')
      .split('\n')
      .map((row) => `socket:[${row.trim().split(/\s+/)[9]}]`);
    const listening = [...sockets('self')].filter((socket) => inodes.includes(socket));
    expect(listening.length).toBeGreaterThan(0);
    for (const socket of listening) expect(sockets(engine.pid ?? 0)).not.toContain(socket);
    server.close();
  });
});
