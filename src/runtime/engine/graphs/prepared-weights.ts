import { execFile } from 'node:child_process';
import { existsSync, readFileSync, utimesSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { type Digest, shortDigest } from '../../../api/names.ts';
import { syncFolder, writeDurable } from '../../../disk/durable.ts';
import { readChunks } from '../../../disk/read-chunks.ts';
import type { Clock } from '../../../time/clock.ts';
import { machineKey, onnxRuntimeVersion } from '../session/runtime-options.ts';

/** Names of the files in a folder of prepared weights. */
export const preparedFiles = {
  graph: 'optimised.onnx',
  weights: 'weights.bin',
  manifest: 'prepared.json',
} as const;

const run = promisify(execFile);
const program = fileURLToPath(new URL('./prepare-process.ts', import.meta.url));
const manifestSchema = z.object({
  files: z.array(z.object({ name: z.string(), bytes: z.number(), crc32: z.number() })),
});

const checksum = async (path: string): Promise<{ readonly bytes: number; readonly crc32: number }> => {
  let bytes = 0;
  let sum = 0;
  for await (const chunk of readChunks(path)) {
    bytes += chunk.length;
    sum = crc32(chunk, sum);
  }
  return { bytes, crc32: sum };
};

type PreparedFile = z.infer<typeof manifestSchema>['files'][number];

/** The files of a folder; one that cannot be right when there is no manifest. */
const readManifest = (folder: string): readonly PreparedFile[] => {
  try {
    return manifestSchema.parse(JSON.parse(readFileSync(join(folder, preparedFiles.manifest), 'utf8'))).files;
  } catch {
    // Not there, torn, or of another version: all of it is made again.
    return [{ name: preparedFiles.manifest, bytes: -1, crc32: 0 }];
  }
};

/** True when every file has the content that was written. A flipped bit here would change answers without a word. */
const isIntact = async (folder: string): Promise<boolean> => {
  for (const file of readManifest(folder)) {
    const path = join(folder, file.name);
    if (!existsSync(path)) return false;
    const now = await checksum(path);
    if (now.bytes !== file.bytes || now.crc32 !== file.crc32) return false;
  }
  return true;
};

const prepare = async (graph: string, folder: string, options: PreparedWeightsOptions): Promise<void> => {
  const temporary = `${folder}.${process.pid}.tmp`;
  await rm(temporary, { recursive: true, force: true });
  await mkdir(temporary, { recursive: true });
  try {
    const { signal, threads, headSize, task = 'generate' } = options;
    await run(process.execPath, [program, graph, temporary, String(threads), String(headSize), task], {
      signal,
      killSignal: 'SIGKILL',
    });
    const files = [];
    for (const name of [preparedFiles.graph, preparedFiles.weights]) {
      const path = join(temporary, name);
      // A graph whose weights are all tiny has no second file.
      if (!existsSync(path)) continue;
      await using handle = await open(path, 'r');
      await handle.sync();
      files.push({ name, ...(await checksum(path)) });
    }
    await writeDurable(join(temporary, preparedFiles.manifest), JSON.stringify({ files }));
    await rm(folder, { recursive: true, force: true });
    await rename(temporary, folder);
    await syncFolder(join(folder, '..'));
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
};

/** Removes what a kill left half-written, and all but the latest of what earlier base models and versions left. */
const removeOld = async (root: string, current: string): Promise<void> => {
  const others = [];
  for (const name of await readdir(root)) {
    const path = join(root, name);
    if (path === current) continue;
    others.push({ path, usedMs: name.endsWith('.tmp') ? -1 : (await stat(path)).mtimeMs });
  }
  others.sort((a, b) => b.usedMs - a.usedMs);
  const old = others.filter(({ usedMs }, index) => index > 0 || usedMs < 0);
  for (const { path } of old) await rm(path, { recursive: true, force: true });
};

export type PreparedWeightsOptions = {
  readonly cacheDir: string;
  readonly threads: number;
  readonly headSize: number;
  /** Default: generate. */
  readonly task?: 'generate' | 'embed';
  readonly clock: Clock;
  readonly signal: AbortSignal;
};

/**
 * A folder with the optimised graph of a base model and its weights, prepacked for this processor; made once per base
 * model, ONNX Runtime and kind of machine, proved to give the model's answers when it is made, and checked at every
 * start. Sessions map the weights file, so that the base graph and the LoRA graph hold them once, as pages of a file.
 */
export const preparedWeights = async (
  base: { readonly digest: Digest; readonly graph: string },
  options: PreparedWeightsOptions,
): Promise<string> => {
  const root = join(options.cacheDir, 'prepared');
  const folder = join(root, `${shortDigest(base.digest)}-${onnxRuntimeVersion}-${machineKey()}`);
  if (!(await isIntact(folder))) await prepare(base.graph, folder, options);
  const now = new Date(options.clock.now());
  utimesSync(folder, now, now);
  await removeOld(root, folder);
  return folder;
};
