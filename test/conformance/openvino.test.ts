import { describe, expect, it, vi } from 'vitest';
import { cpuProvider } from '../../src/runtime/engine/ort/providers.ts';
import { waitFor } from '../support/wait.ts';
import { launchTiny } from './support/engine.ts';
import { exactTolerance } from './support/exactness-cases.ts';
import { answersAsTheCpu } from './support/provider-suite.ts';

/** It is loaded with the modules below, so it has to be named before. */
const library = await vi.hoisted(async () => {
  const { openVinoLibrary } = await import('../tools/openvino.ts');
  const path = await openVinoLibrary();
  if (path !== undefined) process.env['ADAPTLET_ONNX_RUNTIME_LIBRARY'] = path;
  return path;
});

const openVino = 'OpenVINOExecutionProvider';

describe.skipIf(library === undefined)('OpenVINO on its CPU device (needs Linux x64 and python3)', () => {
  answersAsTheCpu({
    provider: openVino,
    // As the kernels of the CPU.
    tolerance: 1e-4,
    exactTolerance,
    // Everything between two attentions is one operator; attention stays on the CPU provider.
    operators: {
      tiny: { [openVino]: 5, [cpuProvider]: 2 },
      minilm: { [openVino]: 2, [cpuProvider]: 3 },
    },
  });

  it('is not usable on a device that is not there, with the options that were asked for', async () => {
    const npu = `${openVino}?device_type=NPU`;
    const { engine, log } = launchTiny({ executionProviders: [npu, `${openVino}?device_type=CPU`] });
    await waitFor('the engine', () => engine.state === 'ready');
    expect(engine.info().executionProvider).toBe(`${openVino}?device_type=CPU`);
    expect(engine.info().refusedProviders).toEqual([{ provider: npu, reason: expect.any(String) }]);
    expect(JSON.stringify(log)).toContain(`${npu} is not usable here`);
    await engine.close();
    const required = launchTiny({ executionProviders: [npu], requireProvider: true });
    await waitFor('the reason', () => required.engine.failure !== undefined);
    expect(required.engine.failure).toMatchObject({ code: 'PROVIDER_NOT_AVAILABLE' });
    await required.engine.close();
  });
});
