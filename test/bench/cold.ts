import { execFile } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { smollm } from '../support/models.ts';
import { TestNode, tiny } from '../support/node.ts';
import { writeSyntheticAdapter } from '../support/synthetic-adapter.ts';
import { waitFor } from '../support/wait.ts';
import { type Report, report, variant } from './report.ts';

const rounds = 15;
const exec = promisify(execFile);

/** Drops a file from the page cache (posix_fadvise DONTNEED, through dd) and says how many of its pages are left. */
const evictFromPageCache = async (file: string): Promise<number> => {
  await exec('dd', [`if=${file}`, 'iflag=nocache', 'count=0']);
  const { stdout } = await exec('fincore', ['--noheadings', '--raw', '--output', 'PAGES', file]);
  return Number(stdout.trim());
};

const manifest = (name: string): string => `apiVersion: adaptlet.io/v1alpha1
kind: Adapter
metadata: {name: ${name}}
spec: {baseModel: bench, source: {path: {path: ${name}}}}
---
`;

/**
 * From a cold compiled file to Resident with a stored verdict: `preload` of Admin after `evict`, the file dropped from
 * the page cache before each round. The first load (fetch, compile, probe) is reported beside it.
 */
export const cold = async (): Promise<Report> => {
  const real = smollm();
  const node = await TestNode.start({
    modelName: 'bench',
    ...(real === undefined ? {} : { model: real.modelDir }),
    settings: { 'log-level': 'info', 'import-roots': '' },
  });
  try {
    // An fp16 artifact of 5 MB compiles to 10 MB of fp32: rank 8 here; 50 MB of fp32: rank 40.
    const configFile =
      real === undefined ? join(tiny.model, '../config.json') : join(real.modelDir, '../config.json');
    const sizes = { '5mb': 8, '50mb': 40 } as const;
    for (const [name, rank] of Object.entries(sizes)) {
      await writeSyntheticAdapter(join(node.manifests, name), configFile, { rank, seed: rank });
    }
    await node.write(
      'bench.yaml',
      Object.keys(sizes)
        .map((n) => manifest(n))
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
    for (const name of Object.keys(sizes)) {
      const before = new Set(await readdir(compiled).catch(() => []));
      first[name]?.push(await timed('preload', name));
      const file = (await readdir(compiled)).find((f) => !before.has(f));
      if (file === undefined) throw new Error(`no compiled file of ${name} in ${compiled}`);
      bytes[name] = (await stat(join(compiled, file))).size;
      for (let i = 0; i < rounds; i++) {
        await call('evict', name);
        pagesLeft += await evictFromPageCache(join(compiled, file));
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
