import { execFile } from 'node:child_process';
import { existsSync, readFileSync, utimesSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { type Digest, shortDigest } from '../../../api/names.ts';
import { bytesBelow } from '../../../disk/bytes-below.ts';
import { syncFolder, writeDurable } from '../../../disk/durable.ts';
import { readChunks } from '../../../disk/read-chunks.ts';
import type { Clock } from '../../../time/clock.ts';
import { externalWeights } from '../onnx/external-weights.ts';
import type { GraphFiles } from '../onnx/file-parts.ts';
import { readGraph } from '../onnx/graph.ts';
import type { Windows } from '../onnx/missing-windows.ts';
import { MappedWeights } from '../ort/mapped-weights.ts';
import { machineKey, onnxRuntimeVersion } from '../session/runtime-options.ts';
import { diskRoom, missingBytes, neededText, refuseWithoutRoom, type Written } from './disk-room.ts';

/** Names of the files in a folder of a prepared graph. `beside`: while it is made, where ONNX Runtime writes all weights of a graph of 16 bits. */
export const preparedFiles = {
  graph: 'optimised.onnx',
  beside: 'optimised.bin',
  constants: 'constants.bin',
  manifest: 'prepared.json',
} as const;

const run = promisify(execFile);
const program = fileURLToPath(new URL('./prepare-process.ts', import.meta.url));
const manifestSchema = z.object({
  /** Of the graph that was optimised. */
  of: z.string(),
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

/** What a folder has; undefined when it has no manifest, or one of another format. */
const readManifest = (folder: string): z.infer<typeof manifestSchema> | undefined => {
  try {
    return manifestSchema.parse(JSON.parse(readFileSync(join(folder, preparedFiles.manifest), 'utf8')));
  } catch {
    return undefined;
  }
};

/** True when it was made of this graph, and every file has the content that was written. A flipped bit here would change answers without a word. */
const isIntact = async (folder: string, of: string): Promise<boolean> => {
  const manifest = readManifest(folder);
  if (manifest?.of !== of) return false;
  for (const file of manifest.files) {
    const path = join(folder, file.name);
    if (!existsSync(path)) return false;
    const now = await checksum(path);
    if (now.bytes !== file.bytes || now.crc32 !== file.crc32) return false;
  }
  return true;
};

const prepare = async (
  { graph, of }: BaseGraph,
  folder: string,
  options: PreparedGraphOptions,
): Promise<void> => {
  const { signal, threads, headSize, doing, task = 'generate', windows } = options;
  const temporary = `${folder}.${process.pid}.tmp`;
  await rm(temporary, { recursive: true, force: true });
  await mkdir(temporary, { recursive: true });
  try {
    const args = [program, graph, temporary, String(threads), String(headSize), task];
    if (windows !== undefined) args.push(JSON.stringify(windows));
    const running = run(process.execPath, args, { signal, killSignal: 'SIGKILL' });
    if (running.child.stdout !== null) createInterface({ input: running.child.stdout }).on('line', doing);
    await running;
    const files = [];
    for (const name of [preparedFiles.graph, preparedFiles.constants]) {
      const path = join(temporary, name);
      // Few graphs have constants of their own.
      if (!existsSync(path)) continue;
      await using handle = await open(path, 'r');
      await handle.sync();
      files.push({ name, ...(await checksum(path)) });
    }
    await writeDurable(join(temporary, preparedFiles.manifest), JSON.stringify({ of, files }));
    await rename(temporary, folder);
    await syncFolder(join(folder, '..'));
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
};

/**
 * What is written of it: while it is prepared, all of the graph and its weights can become constants, which the optimiser writes into
 * the graph before they are taken out of it again. Those stay that the files of the model do not have.
 */
export type BaseGraph = Written & {
  /** Of the base model. */
  readonly digest: Digest;
  /** Path of its graph. */
  readonly graph: string;
  /** Digest of the graph that is optimised: another version of this program may make another one of it. */
  readonly of: string;
};

/** Removes what a kill left half-written, what has another format, and all but so many, the latest, of the others. */
const removeOld = async (root: string, current: string, kept: number): Promise<void> => {
  const others = [];
  for (const name of await readdir(root)) {
    const path = join(root, name);
    if (path === current) continue;
    others.push({ path, usedMs: readManifest(path) === undefined ? -1 : (await stat(path)).mtimeMs });
  }
  others.sort((a, b) => b.usedMs - a.usedMs);
  const old = others.filter(({ usedMs }, index) => index >= kept || usedMs < 0);
  for (const { path } of old) await rm(path, { recursive: true, force: true });
};

export type PreparedGraphOptions = {
  readonly cacheDir: string;
  /** See ModelOptions. */
  readonly cacheRoomBytes?: number | undefined;
  readonly threads: number;
  readonly headSize: number;
  /** Default: generate. */
  readonly task?: 'generate' | 'embed';
  /** Of the model, to be put into its graph where that lacks them. */
  readonly windows?: Windows | undefined;
  readonly clock: Clock;
  /** See ModelOptions. */
  readonly doing: (what: string) => void;
  readonly warn: (message: string) => void;
  readonly signal: AbortSignal;
};

/**
 * Makes room for what is prepared: the latest of the others goes for it, too, where that is enough. Nobody uses it: the data folder is
 * this runtime's alone, and its engine uses what it has prepared.
 * @throws Error when it does not fit
 */
const makeRoom = async (
  base: BaseGraph,
  folder: string,
  { cacheDir, cacheRoomBytes = Infinity, warn }: PreparedGraphOptions,
): Promise<void> => {
  const root = dirname(folder);
  const missing = missingBytes(base, await diskRoom(cacheDir, cacheRoomBytes));
  const former = await bytesBelow(root);
  if (missing > 0 && missing <= former) {
    await removeOld(root, folder, 0);
    warn(
      `what was prepared before, of another base model, processor or ONNX Runtime, is removed to make room: ${neededText(former)}`,
    );
  }
  refuseWithoutRoom(base, await diskRoom(cacheDir, cacheRoomBytes));
};

/**
 * A folder with the optimised graph of a base model; made once per base model, ONNX Runtime and kind of machine, proved to
 * give the model's answers when it is made, and checked at every start.
 */
export const preparedGraph = async (base: BaseGraph, options: PreparedGraphOptions): Promise<string> => {
  const root = join(options.cacheDir, 'prepared');
  const folder = join(root, `${shortDigest(base.digest)}-${onnxRuntimeVersion}-${machineKey()}`);
  await mkdir(root, { recursive: true });
  const isThere = await isIntact(folder, base.of);
  // What goes makes room, in earlier versions of gigabytes.
  if (!isThere) await rm(folder, { recursive: true, force: true });
  await removeOld(root, folder, 1);
  if (!isThere) {
    await makeRoom(base, folder, options);
    await prepare(base, folder, options);
  }
  const now = new Date(options.clock.now());
  utimesSync(folder, now, now);
  return folder;
};

/**
 * The graph in such a folder, its files, and its weights for all sessions of this process. `exported`: path of the graph of the model.
 * @throws Error when they cannot be mapped
 */
export const openPrepared = (
  folder: string,
  exported: string,
): { readonly graph: Buffer; readonly files: GraphFiles; readonly weights: MappedWeights } => {
  const path = join(folder, preparedFiles.graph);
  const graph = readFileSync(path);
  const pathOf = (location: string): string =>
    location === basename(exported)
      ? join(folder, preparedFiles.constants)
      : join(dirname(exported), location);
  const weights = MappedWeights.open(externalWeights(readGraph(graph)), pathOf);
  return { graph, files: { pathOf, graph: path }, weights };
};
