import { describe, expect, it } from 'vitest';
import { tinyModel } from '../onnx/graph.fixture.ts';
import { cpuProvider } from '../ort/providers.ts';
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
    readonly provider?: string;
    readonly signal?: AbortSignal;
  },
  prove: () => Promise<void>,
) => {
  const warnings: string[] = [];
  const options = {
    operator,
    provider: cpuProvider,
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

  it('is in neither where the proof fails, or the operator lacks something, and they say why', async () => {
    const refused = await open({}, () => Promise.reject(new Error('it differs')));
    expect(refused.made).toEqual({ ...graphs, foreignAttention: 'Error: it differs' });
    const lacking = await open({ headSize: 24 }, () => Promise.resolve());
    expect(lacking.made).toEqual({
      ...graphs,
      foreignAttention: expect.stringMatching(/heads of 24 features$/),
    });
  });

  it('is nothing where the start is given up', async () => {
    const signal = AbortSignal.abort(new Error('given up'));
    await expect(open({ signal }, () => Promise.reject(new Error('it differs')))).rejects.toThrow('given up');
  });

  it('is not proved without the operator or on another provider, and they say why', async () => {
    const prove = () => Promise.reject(new Error('asked'));
    const without = await open({ operator: undefined }, prove);
    expect(without.made).toEqual({ ...graphs, foreignAttention: 'the native operator is not used' });
    const elsewhere = await open({ operator: undefined, provider: 'openvino' }, prove);
    expect(elsewhere.made).toEqual({ ...graphs, foreignAttention: 'the model runs on openvino' });
  });
});
