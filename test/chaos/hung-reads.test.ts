import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { moon } from '../support/moon.ts';
import { enginePid, TestNode, tiny, yaml } from '../support/node.ts';
import { runProgram } from '../support/program.ts';
import { writeSyntheticAdapter } from '../support/synthetic-adapter.ts';
import { waitFor } from '../support/wait.ts';

const preload = join(import.meta.dirname, '../support/preload/hung-reads.ts');

let folder: string;
let node: TestNode;

const stateOf = async (name: string) =>
  (await node.client.status()).adapters.find(({ key }) => key.endsWith(`/${name}`))?.state;
const ask = (model: string) => node.client.ask({ model, prompt: 'moon:', timeoutMs: 30_000 });

describe('a disk that does not answer', () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'adaptlet-hung-'));
    expect((await runProgram('mkfifo', [join(folder, 'pipe')])).code).toBe(0);
    // Eight pieces of 512 KiB.
    await writeSyntheticAdapter(join(folder, 'large'), join(tiny.root, 'model/config.json'), { rank: 512 });
    node = await TestNode.start({
      importRoots: `${tiny.root},${folder}`,
      settings: { 'max-rank': '512' },
      env: { NODE_OPTIONS: `--import=${preload}`, ADAPTLET_TEST_HUNG: folder },
    });
    await node.write('upper.yaml', yaml.adapter('upper', 'adapters/upper', '  preload: {tier: Memory}\n'));
    await node.write('large.yaml', yaml.adapter('large', 'large', '  preload: {tier: Disk}\n'));
    for (const [name, state] of [
      ['upper', 'Resident'],
      ['large', 'Compiled'],
    ] as const)
      await waitFor(`${name} to be ${state}`, async () => (await stateOf(name)) === state);
  });
  afterAll(async () => {
    await node.dispose();
    await rm(folder, { recursive: true });
  });

  it('keeps no request from its answer whose adapter is in RAM, and the other one comes when it answers again', async () => {
    const engine = enginePid(node);
    await writeFile(join(folder, 'hangs'), '');
    const cold = ask('large');
    // All that are made at a time.
    await waitFor('reads that hang', async () => (await readFile(join(folder, 'hung'))).length >= 2);
    for (let request = 0; request < 20; request++) expect((await ask('upper')).text).toBe(moon.upper);
    expect(enginePid(node)).toBe(engine);
    expect(await stateOf('large')).toBe('Compiled');
    await rm(join(folder, 'hangs'));
    await writeFile(join(folder, 'pipe'), Buffer.alloc(64));
    expect((await cold).served).toMatchObject({ adapter: 'large' });
  });
});
