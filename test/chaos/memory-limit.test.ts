import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { canLimitMemory, MemoryGroup } from '../support/memory-group.ts';
import { TestNode, tiny, yaml } from '../support/node.ts';
import { writeSyntheticAdapter } from '../support/synthetic-adapter.ts';
import { folderOfTest } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait.ts';

const mib = 2 ** 20;
/** Of 2 MiB each, in RAM as well: more than what the limit leaves, of which the rest of the node takes its part while they come. */
const names = Array.from({ length: 120 }, (_, index) => `big-${index}`);
const leftBytes = 176 * mib;

describe.skipIf(!canLimitMemory)('a node in a control group (needs root to make one)', () => {
  let group: MemoryGroup;
  let roots: string;
  let node: TestNode | undefined;
  beforeEach(async () => {
    group = await MemoryGroup.make();
    roots = folderOfTest();
  });
  afterEach(async () => {
    await node?.dispose();
    node = undefined;
    await group.remove();
  });

  const start = async (settings: Readonly<Record<string, string>>): Promise<TestNode> => {
    node = await TestNode.start({
      group: group.folder,
      settings: { 'import-roots': `${tiny.root},${roots}`, ...settings },
    });
    return node;
  };

  it('whose budget of adapters is more than its limit leaves is not killed: what nobody uses leaves, and requests are answered', async () => {
    for (const [index, name] of names.entries())
      await writeSyntheticAdapter(join(roots, name), join(tiny.root, 'model/config.json'), {
        rank: 256,
        seed: index + 1,
      });
    const running = await start({ 'adapter-memory': '1Gi' });
    const { client, log } = running;
    await running.write('adapters.yaml', names.map((name) => yaml.adapter(name, name)).join(''));
    await waitFor('the plan', async () => (await client.status()).adapters.length === names.length);
    for (const name of names.slice(0, 3)) await client.ask({ model: name, prompt: 'moon:' });
    await group.limitTo((await group.used()) + leftBytes);
    for (const name of names) {
      const { served } = await client.ask({ model: name, prompt: 'moon:' });
      expect(served.adapter).toBe(name);
    }
    expect(await group.kills()).toBe(0);
    const status = await client.status();
    const { memoryPressure: pressure, memory } = status;
    expect(pressure).toMatchObject({ level: `the memory limit of ${group.folder}`, kills: 0n, refused: 0n });
    expect(Number(memory?.usedBytes)).toBeLessThan(leftBytes);
    expect(Number(pressure?.adapterBudgetBytes)).toBeLessThan(leftBytes);
    expect(log.filter((line) => line.includes('engine process ended'))).toEqual([]);
  });

  it('whose limit is less than its budgets says so at the start, with what to set', async () => {
    await group.limitTo(1024 * mib);
    const { client, log } = await start({ 'adapter-memory': '128Mi', 'kv-memory': '2Gi' });
    expect(log.filter((line) => line.includes('the memory limit is too low')).length).toBeGreaterThan(0);
    const { limits } = await client.status();
    expect(limits.join('\n')).toMatch(
      /is 1024 MiB, which is less than .* set --kv-memory \d+Mi, or give this runtime \d+Mi/,
    );
  });
});
