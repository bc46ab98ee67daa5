import { describe, expect, it } from 'vitest';
import type { Operator, Products } from '../ort/operator.ts';
import { cpuProvider } from '../ort/providers.ts';
import { openWithOperator } from './model-graphs.ts';

const products: Products = { levels: ['vnni'], bytesOf: () => 0, pack: () => Promise.resolve() };
const whole: Operator = { path: '/lib.so', digest: 'd', instructionSet: 'avx512', products };

/** What opens where only some ways do, and what is warned of. */
const opened = async (opens: (operator: Operator | undefined) => boolean, provider = cpuProvider) => {
  const warnings: string[] = [];
  const options = {
    operator: whole as Operator | undefined,
    provider,
    warn: (message: string) => void warnings.push(message),
    signal: new AbortController().signal,
  };
  const used = await openWithOperator(options, ({ operator }) =>
    opens(operator) ? Promise.resolve(operator) : Promise.reject(new Error('does not open')),
  );
  return { operator: used, warnings };
};

describe('a graph that does not open with the native operator', () => {
  it('opens with the operator where its products alone are at fault', async () => {
    const { products: _, ...others } = whole;
    const { operator, warnings } = await opened((one) => one?.products === undefined);
    expect(operator).toEqual(others);
    expect(warnings).toEqual([expect.stringMatching(/linears keep ONNX Runtime's: Error: does not open$/)]);
  });

  it('opens without it otherwise, and is refused where that does not open either', async () => {
    const { operator, warnings } = await opened((one) => one === undefined);
    expect(operator).toBeUndefined();
    expect(warnings).toEqual([
      expect.stringContaining('adapters take the portable way'),
      expect.stringContaining("linears keep ONNX Runtime's"),
    ]);
    await expect(opened(() => false)).rejects.toThrow('does not open');
  });

  it('is opened once with all of it where it opens, and on other providers with none', async () => {
    expect(await opened(() => true)).toEqual({ operator: whole, warnings: [] });
    expect(await opened(() => true, 'CUDAExecutionProvider')).toEqual({ operator: undefined, warnings: [] });
  });
});
