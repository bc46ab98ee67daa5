import { describe, expect, it } from 'vitest';
import { tinyModel } from '../onnx/graph.fixture.ts';
import type { ModelGraphs } from './model-graphs.ts';
import { withNativeAttention } from './native-attention.ts';

const operator = { path: '/nowhere', digest: '', instructionSet: '' };
const graphs: ModelGraphs = {
  base: tinyModel('fp32'),
  lora: tinyModel('fp32'),
  sites: [],
  weightsFolder: '',
  optimised: true,
};

const open = async (
  given: {
    readonly headSize?: number;
    readonly operator?: typeof operator | undefined;
    readonly signal?: AbortSignal;
  },
  prove: () => Promise<void>,
) => {
  const warnings: string[] = [];
  const options = {
    operator,
    headSize: 16,
    threads: 1,
    cacheDir: '/nowhere',
    doing: () => undefined,
    signal: new AbortController().signal,
    ...given,
  };
  const made = await withNativeAttention(graphs, { ...options, warn: (text) => warnings.push(text) }, prove);
  return { made, warnings };
};

describe('attention by the native operator', () => {
  it('is in both graphs once it was proved', async () => {
    const { made, warnings } = await open({}, () => Promise.resolve());
    expect(made.base.equals(graphs.base)).toBe(false);
    expect(made.lora.equals(made.base)).toBe(true);
    expect(warnings).toEqual([]);
  });

  it('is in neither where the proof fails, or the operator lacks something, which is told', async () => {
    const refused = await open({}, () => Promise.reject(new Error('it differs')));
    expect(refused.made).toBe(graphs);
    expect(refused.warnings).toEqual([expect.stringContaining('it differs')]);
    const lacking = await open({ headSize: 24 }, () => Promise.resolve());
    expect(lacking.made).toBe(graphs);
    expect(lacking.warnings).toEqual([expect.stringContaining('heads of 24 features')]);
  });

  it('is nothing where the start is given up', async () => {
    const signal = AbortSignal.abort(new Error('given up'));
    await expect(open({ signal }, () => Promise.reject(new Error('it differs')))).rejects.toThrow('given up');
  });

  it('is not asked for without the operator', async () => {
    const { made, warnings } = await open({ operator: undefined }, () => Promise.reject(new Error('asked')));
    expect(made).toBe(graphs);
    expect(warnings).toEqual([]);
  });
});
