import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { CheckReport } from '../../../src/cli/model/check-text.ts';
import { areKnownFaster } from '../../../src/runtime/engine/proofs/products-times.ts';
import { folderOf } from '../../conformance/support/exports.ts';
import { operator } from '../../conformance/support/operator.ts';
import { changedGraph, withOperator } from '../../support/changed-graph.ts';
import { adaptlet } from '../../support/cli.ts';
import { fixtureFolder, fixtureGraph } from '../../support/fixture-models.ts';
import { minilm, smollm } from '../../support/models.ts';
import { tiny } from '../../support/node.ts';
import { folderOfTests } from '../../support/temporary-folder.ts';
import { hasRegistry, ModelRegistry } from './registry.ts';

const check = async (model: string, ...flags: readonly string[]) => {
  const { code, stdout, stderr } = await adaptlet('model', 'check', model, '-o', 'json', ...flags);
  if (stdout === '') throw new Error(stderr);
  return { code, report: JSON.parse(stdout) as CheckReport };
};
/** As hubs have a model for browsers. */
const hub = join(tiny.model, '../../../hub');
const linears = ['down_proj', 'gate_proj', 'k_proj', 'o_proj', 'q_proj', 'up_proj', 'v_proj'];

describe('adaptlet model check', () => {
  const folder = folderOfTests();

  /** A copy of the tiny model that a test breaks. */
  const broken = async (name: string, change: (folder: string) => Promise<void>): Promise<string> => {
    const copy = join(folder, name);
    await cp(join(tiny.model, '..'), copy, { recursive: true });
    await change(copy);
    return join(copy, 'onnx-fp32');
  };
  const editConfig = (change: (config: Record<string, unknown>) => void) => async (copy: string) => {
    const path = join(copy, 'config.json');
    const config = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
    change(config);
    await writeFile(path, JSON.stringify(config));
  };

  it('says what a model will do, as a load of it does', async () => {
    const { code, report } = await check(tiny.model, '--run');
    expect(code).toBe(0);
    expect(report).toMatchObject({
      task: 'generate',
      architecture: 'llama',
      family: 'llama',
      precision: 'float32',
      parameters: 111_296,
      contextLength: 256,
      vocabSize: 259,
      lora: { modules: linears, sites: 14 },
      executionProvider: 'CPUExecutionProvider',
      // 2 layers, keys and values, 2 heads of 16 floats.
      memory: { kvBytesPerToken: 2 * 2 * 2 * 16 * 4, kvTokens: 256 },
      refusals: [],
      run: { kind: 'Loaded', executionProvider: 'CPUExecutionProvider', linears: [] },
    });
  });

  it('says which products linears in int4 have', async () => {
    const { stdout } = await adaptlet('model', 'check', join(tiny.model, '../onnx-int4'), '--run');
    const [best = ''] = operator?.products?.levels ?? [];
    const said = [...stdout.matchAll(/^linears +(.*)$/gm)].map(([, text]) => text);
    expect(said).toEqual(areKnownFaster(best) ? [`have products of the native operator by ${best}`] : []);
  });

  it('says that linears with float32 activations are slow', async () => {
    const exported = join(tiny.model, '../../../../exports/qwen3');
    const said = async (how: string) => {
      const { warnings } = (await check(join(exported, how))).report;
      return warnings.filter((warning) => warning.includes('float32 activations'));
    };
    expect(await said('int4')).toEqual([expect.stringMatching(/^(\d+) of \1 linears .*accuracy_level=4/)]);
    expect(await said('default')).toEqual([]);
    expect((await check(join(tiny.model, '../onnx-int4'))).report.warnings).toEqual([]);
  });

  it('says which file of a hub is taken, and with which flags it is served', async () => {
    const whole = await check(hub);
    expect(whole.code).toBe(0);
    expect(whole.report).toMatchObject({
      graph: { file: 'onnx/model.onnx', reason: 'model.onnx' },
      precision: 'float32',
      // It appends, but into rows: once.
      memory: { kvBytesPerToken: 2 * 2 * 2 * 16 * 4, wanted: { requests: 8, tokens: 256 } },
      warnings: [],
      flags: [`--model ${hub}`],
    });
    const q4 = await check(hub, '--model-file', 'onnx/model_q4.onnx', '--run');
    expect(q4.code).toBe(0);
    expect(q4.report).toMatchObject({
      graph: { file: 'onnx/model_q4.onnx', reason: 'named' },
      precision: 'int4',
      lora: { modules: linears, sites: 14 },
      flags: [`--model ${hub}`, '--model-file onnx/model_q4.onnx'],
      run: { kind: 'Loaded' },
    });
    const text = await adaptlet('model', 'check', hub, '--model-file', 'onnx/model_q4.onnx');
    expect(text.stdout).toMatch(
      /graph +onnx\/model_q4\.onnx, named by --model-file; not taken: onnx\/model\.onnx/,
    );
    expect(text.stdout).toContain(`It would be served: --model ${hub} --model-file onnx/model_q4.onnx`);
  });

  it('reckons with the requests that are wanted', async () => {
    const { report } = await check(
      tiny.model,
      '--requests',
      '2000',
      '--tokens',
      '200',
      '--kv-memory',
      '64Mi',
    );
    // 512 bytes a token.
    expect(report.memory).toMatchObject({ wanted: { requests: 2000, tokens: 200, kvBytes: 204_800_000 } });
    expect(report.flags).toEqual([`--model ${tiny.model}`, '--kv-memory 196Mi', '--max-concurrent 2000']);
    const { code, stderr } = await adaptlet('model', 'check', tiny.model, '--requests', '0');
    expect(code).not.toBe(0);
    expect(stderr).toContain('must be a number from 1 on');
  });

  it('takes the folder of the model builder, which writes no config.json', async () => {
    const model = await broken('builder', async (copy) => {
      for (const name of ['tokenizer.json', 'tokenizer_config.json'])
        await cp(join(copy, name), join(copy, 'onnx-fp32', name));
      await rm(join(copy, 'config.json'));
    });
    const { code, report } = await check(model);
    expect(code).toBe(0);
    expect(report).toMatchObject({ architecture: 'llama', contextLength: 256, lora: { sites: 14 } });
  });

  it('says of a graph in float16 that it is served in float32', async () => {
    const { code, report } = await check(hub, '--model-file', 'onnx/model_q4f16.onnx');
    expect(code).toBe(0);
    expect(report).toMatchObject({ architecture: 'llama', precision: 'int4', lora: { sites: 14 } });
    expect(report.warnings).toContainEqual(
      expect.stringMatching(/^model_q4f16\.onnx is in float16 or bfloat16, and served in float32/),
    );
  });

  it('says once why a graph is refused, and what to take', async () => {
    const file = 'onnx/model_quantized.onnx';
    const { code, report } = await check(hub, '--model-file', file);
    expect(code).toBe(1);
    expect(report.refusals).toEqual([
      expect.objectContaining({
        message: expect.stringMatching(/MatMulInteger/),
        advice: 'Take onnx/model_q4.onnx: --model-file onnx/model_q4.onnx.',
      }),
    ]);
    expect(report.flags).toEqual([]);
    const run = await adaptlet('model', 'check', hub, '--model-file', file, '--run');
    expect(run.stdout.match(/refused: /g)).toHaveLength(1);
  });

  it('says of a folder that is not there that it is not', async () => {
    const { stdout } = await adaptlet('model', 'check', './nowhere');
    expect(stdout).toMatch(/MODEL_FILE_MISSING: model\.onnx is not in .*nowhere/);
  });

  it('computes with the flags of serve', async () => {
    const { report } = await check(tiny.model, '--kv-memory', '64Ki', '--max-concurrent', '4');
    expect(report.memory).toMatchObject({ kvBytes: 65_536, kvTokens: 128 });
  });

  it.each([
    [
      'another architecture',
      editConfig((config) => {
        config['model_type'] = 'mamba';
      }),
      /mamba/,
      /architectures/,
    ],
    [
      'no tokenizer',
      (copy: string) => rm(join(copy, 'tokenizer.json')),
      /tokenizer\.json/,
      /Copy it from the model/,
    ],
    [
      'no weights',
      (copy: string) => rm(join(copy, 'onnx-fp32/model.onnx.data')),
      /model\.onnx\.data/,
      /Copy the file/,
    ],
    ['no graph', (copy: string) => rm(join(copy, 'onnx-fp32/model.onnx')), /model\.onnx/, /./],
    [
      'a graph that is none',
      (copy: string) => writeFile(join(copy, 'onnx-fp32/model.onnx'), 'hello'),
      /./,
      /./,
    ],
  ] as const)(
    'refuses a model with %s, with what to do, as serve does',
    async (name, change, why, advice) => {
      const model = await broken(name.replaceAll(' ', '-'), change);
      const { code, report } = await check(model);
      expect(code).toBe(1);
      const [refusal] = report.refusals;
      expect(refusal?.message).toMatch(why);
      expect(refusal?.advice).toMatch(advice);
      const text = await adaptlet('model', 'check', model);
      expect(text).toMatchObject({ code: 1, stdout: expect.stringContaining('It would be refused.') });
      const served = await adaptlet(
        'serve',
        '--model',
        model,
        '--data-dir',
        join(folder, 'data'),
        '--grpc-listen',
        '127.0.0.1:0',
        '--http-listen',
        '127.0.0.1:0',
      );
      expect(served.code).toBe(1);
    },
  );

  it('says of LongRoPE that a request is computed again where it changes its table', async () => {
    const { code, report } = await check(fixtureFolder('builder-phi3-longrope'));
    expect(code).toBe(0);
    expect(report.warnings).toEqual([expect.stringContaining('grows beyond 72 tokens is computed again')]);
    expect(report.contextLength).toBe(160);
  });

  it('says nothing of a window that is put into the graph, and refuses what is longer than one that cannot be', async () => {
    const exported = join(tiny.model, '../../../../exports');
    for (const [how, expected] of [
      ['default', []],
      ['optimum', [expect.stringMatching(/more than 12 tokens are refused: .* no such window/)]],
    ] as const) {
      const copy = await broken(`window-${how}`, async (made) => {
        await cp(join(exported, 'mistral-window', how), join(made, 'onnx-fp32'), { recursive: true });
        const config = await readFile(join(exported, 'mistral-window/config.json'), 'utf8');
        // The graph of optimum has one of 8.
        await writeFile(
          join(made, 'config.json'),
          config.replace('"sliding_window": 8', '"sliding_window": 12'),
        );
      });
      const { report } = await check(copy);
      expect(report.refusals).toEqual([]);
      expect(report.warnings.filter((warning) => warning.includes('refused'))).toEqual(expected);
      expect(report.contextLength).toBe(how === 'default' ? 128 : 12);
    }
  });

  it('says where LongRoPE ends that the graph does not have', async () => {
    const model = await broken(
      'longrope',
      editConfig((config) => {
        config['rope_scaling'] = { type: 'longrope' };
        config['original_max_position_embeddings'] = 128;
      }),
    );
    const { code, report } = await check(model, '--run');
    expect(code).toBe(0);
    expect(report).toMatchObject({ contextLength: 128, run: { kind: 'Loaded' } });
    expect(report.warnings).toEqual([expect.stringMatching(/more than 128 tokens are refused: .*LongRoPE/)]);
  });

  it('says what a graph may not do because it cannot be shown to be right, as a load does', async () => {
    const graph = changedGraph(fixtureGraph('builder-phi3-longrope'), (node) =>
      node.opType === 'Greater' ? [withOperator(node, 'GreaterOrEqual')] : undefined,
    );
    const { code, report } = await check(fixtureFolder('builder-phi3-longrope', graph), '--run');
    expect(code).toBe(0);
    expect(report).toMatchObject({ contextLength: 71, run: { kind: 'Loaded' } });
    expect(report.warnings).toEqual([
      expect.stringContaining('requests run one by one'),
      expect.stringContaining('requests of more than 71 tokens are refused'),
    ]);
  });

  it('says that requests run one after the other where the graph takes no positions', async () => {
    const { code, report } = await check(folderOf({ name: 'gemma', how: 'optimum' }), '--run');
    expect(code).toBe(0);
    expect(report).toMatchObject({ memory: { wanted: { requests: 1 } }, run: { kind: 'Loaded' } });
    expect(report.warnings).toEqual([expect.stringContaining('requests are generated one after the other')]);
  });

  it.skipIf(!hasRegistry)('fetches no weights of a model in a registry', async () => {
    await using registry = await ModelRegistry.start();
    const digest = await registry.push(tiny.model, 'models/tiny:v1');
    // What is left to the machine is another from moment to moment.
    const budgets = ['--adapter-memory', '64Mi', '--kv-memory', '64Mi'];
    const here = await check(tiny.model, ...budgets);
    const before = registry.network.received;
    const there = await check(`${registry.host}/models/tiny@${digest}`, ...budgets);
    expect(there.code).toBe(0);
    const { model: _, digest: found, flags, ...rest } = there.report;
    const { model: __, flags: ___, ...expected } = here.report;
    expect(flags).toEqual([`--model oci://${registry.host}/models/tiny@${digest}`]);
    expect(found).toBe(digest);
    expect(rest).toEqual(expected);
    expect(registry.network.received - before).toBeLessThan(50_000);
  });

  const real = smollm();
  it.skipIf(real === undefined)('knows SmolLM2 (needs the model)', async () => {
    const { code, report } = await check(real?.modelDir ?? '');
    expect(code).toBe(0);
    expect(report).toMatchObject({
      precision: 'int4',
      contextLength: 8192,
      lora: { modules: linears, sites: 210 },
      // 30 layers, keys and values, 3 heads of 64 floats.
      memory: { kvBytesPerToken: 30 * 2 * 3 * 64 * 4 },
    });
    expect(report.parameters).toBeGreaterThan(134_000_000);
    expect(report.parameters).toBeLessThan(136_000_000);
  });

  const encoder = minilm();
  it.skipIf(encoder === undefined)('knows the encoder MiniLM (needs the model)', async () => {
    const { code, report } = await check(encoder?.modelDir ?? '');
    expect(code).toBe(0);
    expect(report).toMatchObject({ task: 'embed', family: 'bert', precision: 'int8', lora: { sites: 37 } });
    expect(report.memory?.kvBytesPerToken).toBeUndefined();
  });
});
