import { mkdtemp, open, readdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { smollm } from '../support/models.ts';
import { TestNode, tiny } from '../support/node.ts';
import { writeSyntheticAdapter } from '../support/synthetic-adapter.ts';
import { waitFor } from '../support/wait.ts';
import { dropFromPageCache } from './page-cache.ts';
import { quantile, type Report, report, variant } from './report.ts';

const rounds = 15;
/** As the engine reads: src/runtime/engine/adapters/read-tensors.ts. */
const chunkBytes = 512 << 10;

const medianRatio = (of: readonly number[] = [], over: readonly number[] = []): number =>
  quantile(of, 0.5) / quantile(over, 0.5);

const manifest = (name: string, path: string): string => `apiVersion: adaptlet.io/v1alpha1
kind: Adapter
metadata: {name: ${name}}
spec: {baseModel: bench, source: {path: {path: ${path}}}}
---
`;

/** Milliseconds until all bytes of a file are in memory that was used before: as the engine reads them, and nothing else. */
const timeToRead = async (path: string, into: Uint8Array): Promise<number> => {
  const started = performance.now();
  await using file = await open(path, 'r');
  const readChunk = async (at: number): Promise<void> => {
    const end = Math.min(at + chunkBytes, into.length);
    for (let from = at; from < end; ) {
      const { bytesRead } = await file.read(into, from, end - from, from);
      if (bytesRead === 0) throw new Error(`${path} ends at ${from}`);
      from += bytesRead;
    }
  };
  const chunks = Array.from({ length: Math.ceil(into.length / chunkBytes) }, (_, i) =>
    readChunk(i * chunkBytes),
  );
  await Promise.all(chunks);
  return performance.now() - started;
};

/**
 * From a cold compiled file to Resident with a stored verdict: `preload` of Admin after `evict`, the file dropped from
 * the page cache before each round. Beside it: the same file read as cold and nothing else, the least
 * that the disk allows; and the first load (fetch, compile, probe).
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
    const read: Record<string, number[]> = { '5mb': [], '50mb': [] };
    const bytes: Record<string, number> = {};
    let pagesLeft = 0;
    for (const name of Object.keys(paths)) {
      const before = new Set(await readdir(compiled).catch(() => []));
      first[name]?.push(await timed('preload', name));
      const file = (await readdir(compiled)).find((f) => !before.has(f));
      if (file === undefined) throw new Error(`no compiled file of ${name} in ${compiled}`);
      const { size } = await stat(join(compiled, file));
      bytes[name] = size;
      const memory = new Uint8Array(size).fill(1);
      for (let i = 0; i < rounds; i++) {
        await call('evict', name);
        pagesLeft += await dropFromPageCache(join(compiled, file));
        reload[name]?.push(await timed('preload', name));
        pagesLeft += await dropFromPageCache(join(compiled, file));
        read[name]?.push(await timeToRead(join(compiled, file), memory));
      }
      await call('evict', name);
      console.error(`cold: ${name} done`);
    }
    return report('cold', 'ms', {
      results: {
        cold_5mb: variant(reload['5mb'] ?? []),
        cold_50mb: variant(reload['50mb'] ?? []),
        read_5mb: variant(read['5mb'] ?? []),
        read_50mb: variant(read['50mb'] ?? []),
        first_load_5mb: variant(first['5mb'] ?? []),
        first_load_50mb: variant(first['50mb'] ?? []),
      },
      ratios: {
        cold_over_read_5mb: medianRatio(reload['5mb'], read['5mb']),
        cold_over_read_50mb: medianRatio(reload['50mb'], read['50mb']),
      },
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
