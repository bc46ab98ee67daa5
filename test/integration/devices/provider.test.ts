import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemNamespace, TestFleet } from '../../support/fleet.ts';
import { TestNode, tiny } from '../../support/node.ts';
import { repositoryRoot } from '../../support/process.ts';
import { folderOfTests } from '../../support/temporary-folder.ts';
import { waitFor } from '../../support/wait.ts';
import { openVinoLibrary } from '../../tools/openvino.ts';

const run = promisify(execFile);
const library = await openVinoLibrary();
const cpu = 'CPUExecutionProvider';
const openVino = 'OpenVINOExecutionProvider';
const npu = `${openVino}?device_type=NPU`;

const folder = folderOfTests();

/** What a runtime that does not come up says at its end. */
const lastWords = async (settings: Readonly<Record<string, string>>): Promise<string> => {
  const all = {
    model: tiny.model,
    'data-dir': join(folder, 'data'),
    'grpc-listen': '127.0.0.1:0',
    ...settings,
  };
  const flags = Object.entries({ 'http-listen': '127.0.0.1:0', ...all }).flatMap(([name, value]) => [
    `--${name}`,
    value,
  ]);
  const ended = await run(join(repositoryRoot, 'bin/adaptlet'), ['serve', ...flags], {
    timeout: 60_000,
  }).then(
    () => undefined,
    (error: { code: unknown; stderr: string; stdout: string }) => error,
  );
  if (ended === undefined) throw new Error('the runtime ended well');
  expect(ended.code).toBe(1);
  return `${ended.stdout}${ended.stderr}`;
};

describe('a node whose device does not work', () => {
  it('serves on the CPU where that is allowed, and says so in its status and metrics', async () => {
    const node = await TestNode.start({ settings: { 'device-resources': 'npu.intel.com/accel' } });
    try {
      const status = await node.client.status();
      expect(status.executionProvider).toBe(cpu);
      const reason = expect.stringContaining('this build of ONNX Runtime has');
      expect(status.refusedProviders).toEqual([{ provider: npu, reason }]);
      expect((await node.client.ask({ model: 'tiny', prompt: 'moon:' })).text).toBe(' moon moon.');
      const metrics = await (await fetch(`${node.http}/metrics`)).text();
      expect(metrics).toContain(`adaptlet_execution_provider_info{provider="${cpu}"} 1`);
      expect(metrics).toContain(`adaptlet_execution_provider_refused{provider="${npu}"} 1`);
      const told = await run(join(repositoryRoot, 'bin/adaptlet'), ['status', '--data-dir', node.data]).catch(
        (error: { stdout: string }) => error,
      );
      expect(told.stdout).toContain(
        `the execution provider ${npu} is not used: this build of ONNX Runtime has`,
      );
    } finally {
      await node.dispose();
    }
  });

  it('does not start where the CPU is not allowed', async () => {
    const words = await lastWords({
      'device-resources': 'nvidia.com/gpu',
      'require-provider': 'true',
    });
    expect(words).toContain('PROVIDER_NOT_AVAILABLE');
    expect(words).toContain('TensorrtExecutionProvider: ');
    expect(words).toContain('CUDAExecutionProvider: ');
  });

  it('does not start with a library that is no ONNX Runtime', async () => {
    const file = join(folder, 'libonnxruntime.so');
    await writeFile(file, 'not a library');
    const words = await lastWords({ 'onnx-runtime-library': file });
    expect(words).toContain('ONNX_RUNTIME_INVALID');
    expect(words).toContain(`${file} cannot be loaded`);
  });
});

describe.skipIf(library === undefined)(
  'the condition ProviderReady of AdapterRuntimes (needs Linux x64 and python3)',
  () => {
    let fleet: TestFleet;
    beforeAll(async () => {
      fleet = await TestFleet.start({ runtimes: 1 });
    });
    afterAll(() => fleet?.[Symbol.asyncDispose]());

    const says = async (index: number, status: string, reason: string): Promise<string | undefined> =>
      await waitFor(`runtime ${index} to say ProviderReady=${status} ${reason}`, async () => {
        const found = (await fleet.runtime(index))?.conditions.find(({ type }) => type === 'ProviderReady');
        return found?.status === status && found.reason === reason && found.message;
      });

    it('names the provider that runs the model, and what it leaves to the CPU', async () => {
      expect(await says(0, 'True', 'ProviderInUse')).toBe(`${cpu} runs the base model`);
      const wanted = { 'onnx-runtime-library': library ?? '', 'execution-providers': `${npu},${openVino}` };
      const node = await fleet.startNode(1, wanted);
      const message = await says(1, 'True', 'ProviderInUse');
      expect(message).toContain(`${openVino} runs the base model; 5 operators on ${openVino}, 2 on ${cpu}`);
      expect(message).toContain(`passed over: ${npu} (`);
      expect((await fleet.runtime(1))?.executionProvider).toBe(openVino);
      expect((await node.client.ask({ model: 'tiny', prompt: 'moon:' })).text).toBe(' moon moon.');
      expect((await node.client.status()).operators).toEqual({ [openVino]: 5, [cpu]: 2 });
    });

    it('is False with the cause where the CPU runs it in place of what was asked for, and an event', async () => {
      await fleet.startNode(2, { 'execution-providers': 'CUDAExecutionProvider' });
      expect(await says(2, 'False', 'Fallback')).toContain('CUDAExecutionProvider (');
      await waitFor('the event', async () => {
        const events = await fleet.cluster.kubectlOk(['-n', systemNamespace, 'get', 'events', '-o', 'json']);
        return events.includes('"Fallback"');
      });
    });
  },
);
