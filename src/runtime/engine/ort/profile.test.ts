import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { folderOfTests } from '../../../../test/support/temporary-folder.ts';
import { tinyFolder } from '../../adapter/peft-folder.fixture.ts';
import { gatherLogitsRows } from '../onnx/logits-rows.ts';
import { DecoderSession } from '../session/decoder-session.ts';
import { operatorsOf } from './profile.ts';
import { cpuProvider } from './providers.ts';

const folder = folderOfTests();

describe('a profile', () => {
  it('counts each operator once, by the provider that ran it', () => {
    const node = (name: string, provider?: string) => ({ cat: 'Node', name, args: { provider } });
    const events = [
      { cat: 'Session', name: 'model_run', args: {} },
      node('fused_0_kernel_time', 'OpenVINOExecutionProvider'),
      node('attention_kernel_time', cpuProvider),
      node('attention_kernel_time', cpuProvider),
      node('fence', undefined),
      node('add_kernel_time', cpuProvider),
    ];
    expect(operatorsOf(JSON.stringify(events))).toEqual({
      OpenVINOExecutionProvider: 1,
      [cpuProvider]: 2,
    });
  });

  it('of a real session has its operators, and leaves no file', async () => {
    const model = join(tinyFolder, 'model/onnx-fp32');
    const graph = gatherLogitsRows(readFileSync(join(model, 'model.onnx')));
    const options = { weightsFolder: model, optimised: false, threads: 1, headSize: 16 };
    const session = await DecoderSession.open(graph, [], { ...options, profile: join(folder, 'run') });
    const feeds = session.feeds(new Map());
    await session.logitsOf(feeds, [3, 5, 7], [2]);
    const operators = await session.takeOperators();
    expect(Object.keys(operators)).toEqual([cpuProvider]);
    expect(operators[cpuProvider]).toBeGreaterThan(10);
    expect(readdirSync(folder)).toEqual([]);
    await session.logitsOf(feeds, [3, 5, 7], [2]);
    feeds.release();
    session.release();
  });
});
