import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { OnnxRuntimeError } from '../ort/library.ts';
import { builtInProviders, cpuProvider } from '../ort/providers.ts';
import { chooseProvider, openOn } from './choose-provider.ts';

const absent = 'QNNExecutionProvider';
const wish = (executionProviders: readonly string[], requireProvider = false) => ({
  executionProviders,
  requireProvider,
});

describe('the choice of an execution provider', () => {
  it('is the CPU when nothing else is wanted', async () => {
    const warnings: string[] = [];
    expect(await chooseProvider(wish([]), (w) => warnings.push(w))).toBe(cpuProvider);
    expect(await chooseProvider(wish([cpuProvider], true), (w) => warnings.push(w))).toBe(cpuProvider);
    expect(warnings).toEqual([]);
  });

  it('is the first that a session opens on, and says why others fell out', async () => {
    const warnings: string[] = [];
    const tried: string[] = [];
    const tryProvider = async (provider: string): Promise<void> => {
      tried.push(provider);
      if (provider === 'AExecutionProvider') throw new Error('no device');
    };
    const chosen = await chooseProvider(
      wish(['AExecutionProvider', 'BExecutionProvider', cpuProvider]),
      (w) => warnings.push(w),
      tryProvider,
    );
    expect(chosen).toBe('BExecutionProvider');
    expect(tried).toEqual(['AExecutionProvider', 'BExecutionProvider']);
    expect(warnings).toEqual(['the execution provider AExecutionProvider is not usable here: no device']);
  });

  it('never takes the CPU for one that is required', async () => {
    const refused = chooseProvider(wish([absent], true), () => undefined);
    await expect(refused).rejects.toMatchObject({
      code: 'PROVIDER_NOT_AVAILABLE',
      message: expect.stringContaining(absent),
    });
  });

  it('takes what this build lacks for not usable, with what it has', async () => {
    const warnings: string[] = [];
    expect(builtInProviders()).toContain(cpuProvider);
    expect(builtInProviders()).not.toContain(absent);
    expect(await chooseProvider(wish([absent]), (w) => warnings.push(w))).toBe(cpuProvider);
    expect(warnings[0]).toContain(`this build of ONNX Runtime has`);
  });

  it.skipIf(existsSync('/dev/nvidia0'))(
    'opens a session for real: a provider that is built in and has no device here is refused',
    async () => {
      await openOn(cpuProvider);
      const others = builtInProviders().filter((name) => name !== cpuProvider);
      for (const provider of others) await expect(openOn(provider)).rejects.toThrow(OnnxRuntimeError);
    },
  );
});
