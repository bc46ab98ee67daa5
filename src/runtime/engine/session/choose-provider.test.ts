import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { OnnxRuntimeError } from '../ort/library.ts';
import { builtInProviders, cpuProvider, readProvider } from '../ort/providers.ts';
import { openOn, openOnFirst, type TryProvider } from './choose-provider.ts';

const absent = 'QNNExecutionProvider';

/** What becomes of a wish: the provider that was opened, and what was said of others. */
const choose = async (
  executionProviders: readonly string[],
  given: {
    readonly requireProvider?: boolean;
    readonly tryProvider?: TryProvider;
    readonly open?: (provider: string) => Promise<string>;
    readonly signal?: AbortSignal;
  } = {},
) => {
  const warnings: string[] = [];
  const { requireProvider = false, signal = new AbortController().signal } = given;
  const wish = { executionProviders, requireProvider, warn: (w: string) => warnings.push(w), signal };
  const open = given.open ?? (async (provider: string) => `opened on ${provider}`);
  return { ...(await openOnFirst(wish, open, given.tryProvider)), warnings };
};
const works = async (): Promise<void> => undefined;

describe('the choice of an execution provider', () => {
  it('is the CPU when nothing else is wanted', async () => {
    const cpu = { provider: cpuProvider, refused: [], warnings: [], opened: `opened on ${cpuProvider}` };
    expect(await choose([])).toEqual(cpu);
    expect(await choose([cpuProvider], { requireProvider: true })).toEqual(cpu);
  });

  it('is the first that a session opens on, and says why others fell out', async () => {
    const tried: string[] = [];
    const tryProvider = async (provider: string): Promise<void> => {
      tried.push(provider);
      if (provider === 'AExecutionProvider') throw new Error('no device');
    };
    const wanted = ['AExecutionProvider', 'BExecutionProvider?device=1', cpuProvider];
    expect(await choose(wanted, { tryProvider })).toEqual({
      provider: 'BExecutionProvider?device=1',
      refused: [{ provider: 'AExecutionProvider', reason: 'no device' }],
      warnings: ['the execution provider AExecutionProvider is not usable here: no device'],
      opened: 'opened on BExecutionProvider?device=1',
    });
    expect(tried).toEqual(['AExecutionProvider', 'BExecutionProvider?device=1']);
  });

  it('passes over one on which a session opens and the base model does not', async () => {
    const open = async (provider: string): Promise<string> => {
      if (provider !== cpuProvider) throw new Error('it compiles no inputs without a shape');
      return 'the model';
    };
    const chosen = await choose(['AExecutionProvider'], { tryProvider: works, open });
    expect(chosen).toMatchObject({
      provider: cpuProvider,
      opened: 'the model',
      refused: [{ provider: 'AExecutionProvider', reason: 'it compiles no inputs without a shape' }],
    });
    await expect(
      choose(['AExecutionProvider'], { tryProvider: works, open, requireProvider: true }),
    ).rejects.toMatchObject({ code: 'PROVIDER_NOT_AVAILABLE' });
  });

  it('tries no further when it is given up, and hands on what the CPU refuses', async () => {
    const stopped = new AbortController();
    const open = async (): Promise<string> => {
      stopped.abort(new Error('given up'));
      throw new Error('no session');
    };
    const { signal } = stopped;
    await expect(choose(['AExecutionProvider'], { tryProvider: works, open, signal })).rejects.toThrow(
      'given up',
    );
    await expect(choose([], { open })).rejects.toThrow('no session');
  });

  it('never takes the CPU for one that is required', async () => {
    await expect(choose([absent], { requireProvider: true })).rejects.toMatchObject({
      code: 'PROVIDER_NOT_AVAILABLE',
      message: expect.stringContaining(absent),
    });
  });

  it('takes what this build lacks for not usable, with what it has', async () => {
    expect(builtInProviders()).toContain(cpuProvider);
    expect(builtInProviders()).not.toContain(absent);
    const { provider, warnings } = await choose([absent]);
    expect(provider).toBe(cpuProvider);
    expect(warnings[0]).toContain(`this build of ONNX Runtime has`);
  });

  it('reads options behind the name, escaped as in the query of a URL', () => {
    expect(readProvider('XExecutionProvider')).toEqual({ name: 'XExecutionProvider', options: new Map() });
    expect(readProvider('XExecutionProvider?device_type=AUTO:GPU%2CCPU&file=a?b')).toEqual({
      name: 'XExecutionProvider',
      options: new Map([
        ['device_type', 'AUTO:GPU,CPU'],
        ['file', 'a?b'],
      ]),
    });
  });

  it.skipIf(existsSync('/dev/nvidia0'))(
    'opens a session for real: a provider that is built in and has no device here is refused',
    async () => {
      await openOn(cpuProvider);
      const others = builtInProviders().filter((name) => name !== cpuProvider);
      for (const provider of others) {
        const refusal: unknown = await openOn(provider).then(
          () => undefined,
          (error: unknown) => error,
        );
        expect(refusal).toBeInstanceOf(OnnxRuntimeError);
        // It is the device or its library that is missing; the name is one that ONNX Runtime knows.
        expect(String(refusal)).not.toContain('Unknown provider');
      }
    },
  );
});
