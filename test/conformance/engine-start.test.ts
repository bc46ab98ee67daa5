import { readFileSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ort } from '../../src/runtime/engine/ort/library.ts';
import { smollm } from '../support/models.ts';
import { folderOfFile } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait.ts';
import { ask, failsWith, launchTiny, request, startForTest, startTiny } from './support/engine.ts';
import { tinyModel } from './support/tiny.ts';

describe('a base model that cannot be loaded', () => {
  it('leaves the engine down with the reason, and is looked for again', async () => {
    const folder = folderOfFile();
    const { engine, log } = launchTiny({ modelDir: join(folder, 'model') }, folder);
    await waitFor('the reason', () => engine.failure !== undefined);
    expect(engine.failure).toEqual(failsWith('MODEL_FILE_MISSING', 'model.onnx'));
    expect(() => engine.info()).toThrow(failsWith('ENGINE_DOWN', 'model.onnx'));
    await cp(tinyModel('fp32'), join(folder, 'model'), { recursive: true });
    for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json']) {
      await cp(join(tinyModel('fp32'), '..', name), join(folder, name));
    }
    await waitFor('the engine', () => engine.state === 'ready');
    expect(engine.failure).toBeUndefined();
    expect(log.some(({ level, message }) => level === 'error' && message.includes('started again'))).toBe(
      true,
    );
    await engine.close();
  });

  it('is not served by the CPU in place of a provider that is required', async () => {
    const executionProviders = ['QNNExecutionProvider'];
    const { engine } = launchTiny({ executionProviders, requireProvider: true });
    await waitFor('the reason', () => engine.failure !== undefined);
    expect(engine.failure).toEqual(failsWith('PROVIDER_NOT_AVAILABLE', 'QNNExecutionProvider'));
    await engine.close();
  });

  it('runs on the CPU where a provider that is only wanted does not work, and says so', async () => {
    const { engine, log } = launchTiny({ executionProviders: ['QNNExecutionProvider'] });
    await waitFor('the engine', () => engine.state === 'ready');
    expect(engine.info().executionProvider).toBe('CPUExecutionProvider');
    const said = log.filter(({ level }) => level === 'warn').map(({ keys }) => JSON.stringify(keys));
    expect(said.join()).toContain('QNNExecutionProvider is not usable here');
    await engine.close();
  });

  it('says at its start what adapters lack without the native operator', async () => {
    const { engine, log } = launchTiny({ loraOperator: 'off' });
    await waitFor('the engine', () => engine.state === 'ready');
    const said = () => log.filter(({ level }) => level === 'warn').map(({ keys }) => JSON.stringify(keys));
    await waitFor('the line', () => said().join().includes('do not share a step'));
    await engine.close();
  });

  it('runs on the ONNX Runtime that is named, and says when that cannot be loaded', async () => {
    const folder = folderOfFile();
    const onnxRuntimeLibrary = join(folder, 'libonnxruntime.so');
    const refused = async (because: string): Promise<void> => {
      const { engine } = launchTiny({ onnxRuntimeLibrary }, folder);
      await waitFor('the reason', () => engine.failure !== undefined);
      expect(engine.failure).toEqual(failsWith('ONNX_RUNTIME_INVALID', `${onnxRuntimeLibrary} ${because}`));
      await engine.close();
    };
    await refused('cannot be loaded');
    await writeFile(onnxRuntimeLibrary, 'no library');
    await refused('cannot be loaded');
    await rm(onnxRuntimeLibrary);
    // One that is no ONNX Runtime.
    const other = join(dirname(ort.path), 'onnxruntime_binding.node');
    await symlink(other, onnxRuntimeLibrary);
    await refused('');
    await rm(onnxRuntimeLibrary);
    await symlink(ort.path, onnxRuntimeLibrary);
    const { engine } = launchTiny({ onnxRuntimeLibrary }, folder);
    await waitFor('the engine', () => engine.state === 'ready');
    expect(readFileSync(`/proc/${engine.pid}/environ`, 'utf8')).toContain(`LIBRARY=${onnxRuntimeLibrary}`);
    expect((await ask(engine, request(null, 'moon:'))).text).toBe(' moon moon.');
    await engine.close();
  });

  it('can be closed while it is being loaded', async () => {
    const { engine } = launchTiny();
    await engine.close();
    expect(engine.pid).toBeUndefined();
  });
});

describe('a prepared graph', () => {
  it('that rotted on disk is made again: answers stay right', async () => {
    const folder = folderOfFile();
    const first = await startTiny({}, folder);
    await first.engine.close();
    const [name = ''] = await readdir(join(folder, 'cache/prepared'));
    const graph = join(folder, 'cache/prepared', name, 'optimised.onnx');
    const bytes = await readFile(graph);
    // A weight is read from where another one lies: still a graph, with other answers.
    const rotten = Buffer.from(bytes);
    const at = rotten.indexOf('offset', rotten.indexOf('q_proj.MatMul.weight')) + 'offset'.length + 2;
    rotten.writeUInt8(rotten.readUInt8(at) ^ 1, at);
    await writeFile(graph, rotten);
    const told: string[] = [];
    const { engine, log } = await startForTest({ onDoing: (what) => told.push(what) }, folder);
    expect((await ask(engine, request(null, 'moon:'))).text).toBe(' moon moon.');
    const made = 'comparing the optimised graph with the model, once';
    expect(told).toContain(made);
    const ready = log.find(({ message }) => message === 'the engine is ready');
    const times = Object.fromEntries(told.map((what) => [what, expect.any(Number)]));
    expect(ready?.keys).toMatchObject({ openingMs: times });
    expect((await readFile(graph)).equals(bytes)).toBe(true);
  });

  it('that cannot be written costs memory, not service', async () => {
    const folder = folderOfFile();
    await mkdir(join(folder, 'cache'));
    await writeFile(join(folder, 'cache/prepared'), 'a file where a folder should be');
    const { engine, log } = await startForTest({}, folder);
    expect((await ask(engine, request(null, 'moon:'))).text).toBe(' moon moon.');
    await waitFor('the warning', () =>
      log.some(({ keys }) => JSON.stringify(keys).includes('the weights cannot be shared')),
    );
  });
});

it('finds SmolLM2 by ADAPTLET_MODELS or beside the repository, never by an absolute path', () => {
  expect(smollm()?.modelDir.endsWith('smollm2-135m/onnx-int4') ?? true).toBe(true);
});
