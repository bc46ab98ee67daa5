import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { tinyFolder } from '../../adapter/peft-folder.fixture.ts';
import { OnnxRuntimeError, ort } from './library.ts';
import { NativeMemory, PointerTable, StringTable } from './memory.ts';
import { cpuProvider } from './providers.ts';
import { OnnxSession } from './session.ts';
import { elementTypeOf, OrtTensor } from './tensor.ts';

const modelFolder = join(tinyFolder, 'model/onnx-fp32');
const options = { threads: 1, optimise: 'all', spin: false, provider: cpuProvider } as const;
const openTiny = () =>
  OnnxSession.open(readFileSync(join(modelFolder, 'model.onnx')), { ...options, weightsFolder: modelFolder });

/** What it takes to run the tiny model on some tokens. */
const tinyRun = (session: OnnxSession, tokens: number) => {
  const memory = new NativeMemory(1 << 20);
  new BigInt64Array(memory.buffer, 0, tokens).fill(5n);
  const maskAt = 1 << 12;
  new BigInt64Array(memory.buffer, maskAt, tokens).fill(1n);
  const values = session.inputs.map(({ name }) => {
    if (name === 'input_ids') return new OrtTensor('int64', [1, tokens], memory.address);
    if (name === 'attention_mask')
      return new OrtTensor('int64', [1, tokens], memory.address + BigInt(maskAt));
    return new OrtTensor('float32', [1, 2, 0, 16], memory.address);
  });
  const logitsAt = 1 << 13;
  const logits = new OrtTensor('float32', [1, tokens, 259], memory.address + BigInt(logitsAt));
  return {
    inputs: {
      names: new StringTable(session.inputs.map(({ name }) => name)),
      values: new PointerTable(values.map(({ value }) => value)),
    },
    outputs: { names: new StringTable(['logits']), values: new PointerTable([logits.value]) },
    logits: new Float32Array(memory.buffer, logitsAt, tokens * 259),
  };
};

describe('memory outside the heap', () => {
  it('begins where every kernel can read it, and takes its bytes away from all views when it is freed', () => {
    const memory = new NativeMemory(100);
    expect(memory.address % 64n).toBe(0n);
    const view = new Uint8Array(memory.buffer).fill(7);
    expect(view).toHaveLength(100);
    memory.free();
    expect(view).toHaveLength(0);
    expect(() => memory.free()).toThrow(/freed before/);
  });

  it('costs no RAM before it is used', () => {
    const before = process.memoryUsage.rss();
    const memory = new NativeMemory(1 << 30);
    expect(process.memoryUsage.rss() - before).toBeLessThan(100 << 20);
    memory.free();
  });
});

describe('a session of ONNX Runtime', () => {
  it('says its inputs and outputs with types and shapes', async () => {
    const session = await openTiny();
    expect(session.inputs.slice(0, 2)).toEqual([
      { name: 'input_ids', type: 'int64', shape: ['batch_size', 'sequence_length'] },
      { name: 'attention_mask', type: 'int64', shape: ['batch_size', 'total_sequence_length'] },
    ]);
    expect(session.outputs[0]).toEqual({
      name: 'logits',
      type: 'float32',
      shape: ['batch_size', 'sequence_length', 259],
    });
    session.release();
    expect(() => session.release()).toThrow(/released before/);
  });

  it('fills the memory that it is given', async () => {
    const session = await openTiny();
    const { inputs, outputs, logits } = tinyRun(session, 3);
    await session.run(inputs, outputs);
    expect(logits.every((value) => Number.isFinite(value) && value !== 0)).toBe(true);
    session.release();
  });

  it('ends with an error when it is terminated, and runs again after that', async () => {
    const session = await openTiny();
    const { inputs, outputs } = tinyRun(session, 3);
    session.terminate();
    await expect(session.run(inputs, outputs)).rejects.toThrow(OnnxRuntimeError);
    await expect(session.run(inputs, outputs)).rejects.toThrow(/terminate/);
    session.resume();
    await session.run(inputs, outputs);
    session.release();
  });

  it('says what is wrong with a graph, an input that is missing and a shape', async () => {
    await expect(OnnxSession.open(Buffer.from('no graph'), options)).rejects.toThrow(OnnxRuntimeError);
    const session = await openTiny();
    const { inputs, outputs } = tinyRun(session, 3);
    const some = { names: new StringTable(['input_ids']), values: new PointerTable([inputs.values.get(0)]) };
    await expect(session.run(some, outputs)).rejects.toThrow(/attention_mask|Missing Input/);
    const wrong = new OrtTensor('int64', [1, 1, 1], new NativeMemory(8).address);
    inputs.values.set(0, wrong.value);
    await expect(session.run(inputs, outputs)).rejects.toThrow(/rank/i);
    session.release();
  });

  it('lets the process answer while it runs', async () => {
    const session = await openTiny();
    const { inputs, outputs } = tinyRun(session, 100);
    let turns = 0;
    const timer = setInterval(() => (turns += 1), 0);
    for (let run = 0; run < 20; run += 1) await session.run(inputs, outputs);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(0);
    session.release();
  });
});

describe('the library', () => {
  it('stays when JavaScript collects what it does not see used', async () => {
    setFlagsFromString('--expose-gc');
    const collect: unknown = runInNewContext('gc');
    if (typeof collect !== 'function') throw new Error('gc is not exposed');
    for (let round = 0; round < 3; round += 1) {
      collect();
      await new Promise(setImmediate);
    }
    const session = await openTiny();
    expect(session.inputs.length).toBeGreaterThan(2);
    session.release();
    expect(ort.version).toMatch(/^\d+\.\d+\.\d+$/);
  });

  it('knows the element types that it can feed', () => {
    expect(elementTypeOf(1)).toBe('float32');
    expect(elementTypeOf(8)).toBeUndefined();
  });
});
