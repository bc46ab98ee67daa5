import { cp, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adaptlet } from '../support/cli.ts';
import { inParts } from '../support/in-parts.ts';
import { rowsTogether, smollm } from '../support/models.ts';
import { TestNode } from '../support/node.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait.ts';

const real = smollm();
type Row = { readonly prompt: string; readonly expected: string };

const tasks = [
  { adapter: 'json-extract-v1', task: 'json-extract-seen' },
  { adapter: 'pirate', task: 'pirate' },
] as const;
const precisions = ['float16', 'int8'] as const;

/** Rows of 60 that a converted adapter may lose: what a last bit of a weight can turn over on another machine. */
const mayLose = 2;

describe.skipIf(real === undefined)(
  'converted adapters of SmolLM2-135M int4 (ADAPTLET_MODELS or ../shared/models)',
  () => {
    const folder = folderOfTests();
    let node: TestNode | undefined;

    const manifest = (name: string): string =>
      `apiVersion: adaptlet.io/v1alpha1\nkind: Adapter\nmetadata: {name: ${name}}\nspec: {baseModel: smollm2-135m, source: {path: {path: ${name}}}}\n`;

    beforeAll(async () => {
      const names: string[] = [];
      for (const { adapter } of tasks) {
        const original = join(folder, adapter);
        await cp(join(real?.adapters ?? '', adapter), original, { recursive: true });
        names.push(adapter);
        for (const to of precisions) {
          const { code, stdout, stderr } = await adaptlet(
            'convert',
            original,
            `${original}-${to}`,
            '--to',
            to,
          );
          expect(code, stderr).toBe(0);
          console.log(stdout.replaceAll(`${folder}/`, '').trim());
          names.push(`${adapter}-${to}`);
        }
      }
      node = await TestNode.start({
        model: real?.modelDir ?? '',
        modelName: 'smollm2-135m',
        importRoots: folder,
        settings: { threads: '2', 'log-level': 'info' },
      });
      await node.write('adapters.yaml', names.map(manifest).join('---\n'));
      await waitFor(
        'the adapters',
        async () => (await node?.client.status())?.adapters.length === names.length,
      );
    });
    afterAll(async () => {
      await node?.dispose();
    });

    /** Exact answers over the rows of a task. */
    const score = async (model: string, task: string): Promise<number> => {
      const text = await readFile(join(real?.eval ?? '', `${task}.jsonl`), 'utf8');
      const ask = async (line: string): Promise<boolean> => {
        const { prompt, expected } = JSON.parse(line) as Row;
        const answer = await node?.client.ask({ model, prompt, maxTokens: 48, timeoutMs: 60_000 });
        expect(answer?.served.adapter).toBe(model);
        return answer?.text === expected;
      };
      const exact = await inParts(text.trim().split('\n').slice(0, 60), ask, rowsTogether);
      return exact.filter(Boolean).length;
    };

    it.each(tasks)('answer $task as $adapter does', async ({ adapter, task }) => {
      const before = await score(adapter, task);
      expect(before).toBeGreaterThanOrEqual(57);
      const scores: Record<string, number> = { original: before };
      for (const to of precisions) {
        const after = await score(`${adapter}-${to}`, task);
        scores[to] = after;
        expect(after, to).toBeGreaterThanOrEqual(before - mayLose);
      }
      console.log(`${adapter} on ${task}, exact answers of 60: ${JSON.stringify(scores)}`);
    });

    it.each(tasks)('$adapter is smaller as int8', async ({ adapter }) => {
      const size = async (name: string) => (await stat(join(folder, name, 'adapter_model.safetensors'))).size;
      expect(await size(`${adapter}-int8`)).toBeLessThan(0.7 * (await size(adapter)));
    });
  },
);
