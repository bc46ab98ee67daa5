import { mkdtemp, readdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { smollm } from '../support/models.ts';
import { TestNode, tiny } from '../support/node.ts';
import { writeSyntheticAdapter } from '../support/synthetic-adapter.ts';
import { waitFor } from '../support/wait.ts';
import { dropFromPageCache } from './page-cache.ts';
import { type Report, report, variant } from './report.ts';

const rounds = 15;

const manifest = (name: string, path: string): string => `apiVersion: adaptlet.io/v1alpha1
kind: Adapter
metadata: {name: ${name}}
spec: {baseModel: bench, source: {path: {path: ${path}}}}
---
`;

/**
 * From a cold compiled file to Resident with a stored verdict: `preload` of Admin after `evict`, the file dropped from
 * the page cache before each round. The first load (fetch, compile, probe) is reported beside it.
 */
export const cold = async (): Promise<Report> => {
  const real = smollm();
  const folder = await mkdtemp(join(tmpdir(), 'adaptlet-bench-'));
  const node = await TestNode.start({
    modelName: 'bench',
    ...(real === undefined ? {} : { model: real.modelDir }),
    folder,
    settings: {
      'log-level': 'info',
      'import-roots': `${join(folder, 'manifests')},${real?.adapters ?? tiny.adapters}`,
    },
  });
  try {
    // 5 MB: the trained fp16 artifact of rank 8, as large compiled. 50 MB: fp32 of rank 40 with made-up weights.
    const configFile = join(real?.modelDir ?? tiny.model, '../config.json');
    await writeSyntheticAdapter(join(node.manifests, 'large'), configFile, { rank: 40, seed: 40 });
    const paths = { '5mb': real === undefined ? 'upper' : 'json-extract-v1', '50mb': 'large' };
    await node.write(
      'bench.yaml',
      Object.entries(paths)
        .map(([name, path]) => manifest(name, path))
        .join(''),
    );
    const compiled = join(node.data, 'compiled');
    const call = (verb: 'preload' | 'evict', adapter: string): Promise<void> =>
      new Promise((resolve, reject) => {
        node.client.admin[verb]({ adapter }, (error: Error | null) =>
          error === null ? resolve() : reject(error),
        );
      });
    const timed = async (verb: 'preload' | 'evict', adapter: string): Promise<number> => {
      const started = performance.now();
      await call(verb, adapter);
      return performance.now() - started;
    };
    await waitFor('the adapters to be known', async () => (await node.client.status()).adapters.length === 2);

    const first: Record<string, number[]> = { '5mb': [], '50mb': [] };
    const reload: Record<string, number[]> = { '5mb': [], '50mb': [] };
    const bytes: Record<string, number> = {};
    let pagesLeft = 0;
    for (const name of Object.keys(paths)) {
      const before = new Set(await readdir(compiled).catch(() => []));
      first[name]?.push(await timed('preload', name));
      const file = (await readdir(compiled)).find((f) => !before.has(f));
      if (file === undefined) throw new Error(`no compiled file of ${name} in ${compiled}`);
      bytes[name] = (await stat(join(compiled, file))).size;
      for (let i = 0; i < rounds; i++) {
        await call('evict', name);
        pagesLeft += await dropFromPageCache(join(compiled, file));
        reload[name]?.push(await timed('preload', name));
      }
      await call('evict', name);
      console.error(`cold: ${name} done`);
    }
    return report('cold', 'ms', {
      results: {
        cold_5mb: variant(reload['5mb'] ?? []),
        cold_50mb: variant(reload['50mb'] ?? []),
        first_load_5mb: variant(first['5mb'] ?? []),
        first_load_50mb: variant(first['50mb'] ?? []),
      },
      ratios: {},
      setup: {
        model: real === undefined ? 'tiny fp32' : 'SmolLM2-135M int4',
        compiled_bytes_5mb: bytes['5mb'] ?? 0,
        compiled_bytes_50mb: bytes['50mb'] ?? 0,
        pages_left_in_cache: pagesLeft,
        threads: 1,
      },
    });
  } finally {
    await node.dispose();
  }
};
