import { cp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { fakeDigest } from '../../src/api/names.fixture.ts';
import { compileAdapter } from '../../src/runtime/adapter/compile.ts';
import {
  type FixtureTensor,
  float32,
  safetensors,
  tinySites,
  tinyTarget,
  writeAdapter,
} from '../../src/runtime/adapter/peft-folder.fixture.ts';
import { TestNode, tiny, yaml } from '../support/node.ts';
import { ownWeights } from '../support/own-adapter.ts';
import { folderOfTest } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait.ts';

let node: TestNode | undefined;
afterEach(() => node?.dispose());

it('a disk that has room for one adapter serves four that requests ask for in turn, and says no STORE_FULL', async () => {
  const { size } = await stat(join(tiny.adapters, 'reverse/adapter_model.safetensors'));
  // The largest one with its compiled file, and less than any other one with its own beside it.
  node = await TestNode.start({ settings: { 'adapter-disk': String(Math.ceil(size * 2.4)) } });
  const names = ['upper', 'digits', 'reverse', 'hello'];
  await node.write('adapters.yaml', names.map((name) => yaml.adapter(name, `adapters/${name}`)).join(''));
  const listed = async () => (await node?.client.status())?.adapters.length === names.length;
  await waitFor('the plan', listed);
  const answers = new Map<string, string>();
  for (const name of [...names, ...names]) {
    const { text } = await node.client.ask({ model: name, prompt: 'moon:' });
    expect(answers.get(name) ?? text).toBe(text);
    answers.set(name, text);
  }
  expect(new Set(answers.values()).size).toBe(4);
  expect(node.log.filter((line) => line.includes('STORE_FULL'))).toEqual([]);
});

it('after a restart the adapter leaves a full disk that was used least, and not the one that was used most', async () => {
  const root = folderOfTest();
  const names = ['often', 'late', 'once', 'new'];
  for (const [number, name] of names.entries()) {
    await cp(join(tiny.adapters, 'upper'), join(root, name), { recursive: true });
    await writeFile(join(root, name, 'adapter_model.safetensors'), ownWeights(number));
  }
  // Three of them with their compiled files, and not four.
  const options = { importRoots: root, settings: { 'adapter-disk': String(7 * ownWeights(0).length) } };
  const start = async (folder?: string): Promise<TestNode> => {
    const started = await TestNode.start({ ...options, ...(folder === undefined ? {} : { folder }) });
    node = started;
    await started.write('adapters.yaml', names.map((name) => yaml.adapter(name, name)).join(''));
    await waitFor('the plan', async () => (await started.client.status()).adapters.length === names.length);
    return started;
  };
  const here = async (of: TestNode): Promise<readonly string[]> => {
    const folders = await readdir(join(of.data, 'store/adapters'));
    const { adapters } = await of.client.status();
    return adapters
      .filter(({ digest }) => folders.some((folder) => digest === `sha256:${folder}`))
      .map(({ key }) => key.replace('default/', ''));
  };
  const before = await start();
  for (const name of ['once', 'often', 'late', 'often', 'late', 'often', 'often'])
    await before.client.ask({ model: name, prompt: 'moon:' });
  expect([...(await here(before))].toSorted()).toEqual(['late', 'often', 'once']);
  await before.end();

  const after = await start(before.folder);
  await after.client.ask({ model: 'new', prompt: 'moon:' });
  expect([...(await here(after))].toSorted()).toEqual(['late', 'new', 'often']);
});

/** LoHa of the largest rank: as pairs of matrices it has eight times the bytes. */
const writeLoha = async (
  folder: string,
): Promise<{ readonly artifact: number; readonly compiled: number }> => {
  const filled = (rows: number, columns: number) =>
    float32([rows, columns], Array(rows * columns).fill(0.05));
  const tensors = tinySites.flatMap(({ module, inFeatures, outFeatures }) =>
    ['1', '2'].flatMap((half): [string, FixtureTensor][] => [
      [`base_model.model.${module}.hada_w${half}_a`, filled(outFeatures, 16)],
      [`base_model.model.${module}.hada_w${half}_b`, filled(16, inFeatures)],
    ]),
  );
  const weights = safetensors(Object.fromEntries(tensors));
  await writeAdapter(folder, { peft_type: 'LOHA', r: 16, target_modules: 'all-linear' }, weights);
  const outFile = `${folder}.compiled`;
  const input = { folder, digest: fakeDigest('a'), target: tinyTarget, outFile, maxRank: 256 };
  const { bytes } = await compileAdapter(input);
  await rm(outFile);
  return { artifact: weights.length, compiled: bytes };
};

it('an adapter whose compiled file is many times its artifact is served where others can leave for it, else refused with the numbers', async () => {
  const root = folderOfTest();
  const others = ['upper', 'digits', 'reverse'];
  for (const name of others) await cp(join(tiny.adapters, name), join(root, name), { recursive: true });
  const { artifact, compiled } = await writeLoha(join(root, 'loha'));
  const start = async (diskBytes: number): Promise<TestNode> => {
    const started = await TestNode.start({
      importRoots: root,
      settings: { 'adapter-disk': String(diskBytes) },
    });
    node = started;
    const names = [...others, 'loha'];
    await started.write('adapters.yaml', names.map((name) => yaml.adapter(name, name)).join(''));
    await waitFor('the plan', async () => (await started.client.status()).adapters.length === names.length);
    return started;
  };
  const ask = (of: TestNode, model: string) => of.client.ask({ model, prompt: 'moon:' });

  const wide = await start(artifact + compiled + 100_000);
  for (const name of others) await ask(wide, name);
  expect((await ask(wide, 'loha')).served.adapter).toBe('loha');
  expect(wide.log.filter((line) => line.includes('STORE_FULL'))).toEqual([]);
  await wide.dispose();

  const narrow = await start(compiled);
  await expect(ask(narrow, 'loha')).rejects.toThrow(
    new RegExp(
      `STORE_FULL.* needs ${compiled} bytes of disk, of which its compiled file has ${compiled}; \\d+ are free`,
    ),
  );
  for (const name of others) expect((await ask(narrow, name)).served.adapter).toBe(name);
});
