import { describe, expect, it } from 'vitest';
import type { EngineClient } from '../engine/client/client.ts';
import type { EngineState, MemoryLimits } from '../engine/engine.ts';
import { LateEngine } from './late-engine.ts';

/** An engine of which a test says the state. */
const fake = () => {
  const listeners: ((state: EngineState) => void)[] = [];
  const limited: MemoryLimits[] = [];
  const engine = {
    state: 'starting' as EngineState,
    pid: 7,
    now: undefined,
    failure: undefined,
    info: () => ({ baseDigest: 'sha256:b' }),
    limit: (limits: MemoryLimits) => void limited.push(limits),
    load: async (name: string) => ({ bytes: name.length, ms: 0 }),
    onState: (listener: (state: EngineState) => void) => {
      listeners.push(listener);
      return () => undefined;
    },
    close: async () => {
      become('closed');
    },
  };
  const become = (state: EngineState): void => {
    engine.state = state;
    for (const listener of listeners) listener(state);
  };
  return { engine: engine as unknown as EngineClient, become, limited };
};

describe('an engine whose model is not here yet', () => {
  it('is starting, and refuses everything with what it waits for', async () => {
    const late = new LateEngine(() => '3 of 5 MiB');
    expect(late.state).toBe('starting');
    expect(() => late.info()).toThrow(expect.objectContaining({ code: 'ENGINE_DOWN' }));
    await expect(late.load('a', 'f')).rejects.toThrow('3 of 5 MiB');
    await expect(late.probe('a')).rejects.toThrow('/readyz');
  });

  it('is the engine that began, and tells who listened before', async () => {
    const late = new LateEngine(() => '');
    const states: EngineState[] = [];
    const stop = late.onState((state) => states.push(state));
    const { engine, become } = fake();
    late.begin(engine);
    become('ready');
    expect(late.state).toBe('ready');
    expect(late.info().baseDigest).toBe('sha256:b');
    expect(await late.load('name', 'f')).toEqual({ bytes: 4, ms: 0 });
    stop();
    become('down');
    expect(states).toEqual(['ready']);
  });

  it('is told of limits of memory that came before it, and of those that come after', () => {
    const late = new LateEngine(() => '');
    const { engine, limited } = fake();
    late.limit({ kvBytes: 1, givesBack: true });
    late.limit({ kvBytes: 2, givesBack: true });
    late.begin(engine);
    late.limit({ kvBytes: 3, givesBack: false });
    expect(limited).toEqual([
      { kvBytes: 2, givesBack: true },
      { kvBytes: 3, givesBack: false },
    ]);
  });

  it('is closed without ever having begun, and who waits for it hears of it', async () => {
    const late = new LateEngine(() => '');
    const states: EngineState[] = [];
    late.onState((state) => states.push(state));
    await late.close();
    expect([late.state, ...states]).toEqual(['closed', 'closed']);
  });
});
