import { execFile } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';
import { writeDurable } from '../../../disk/durable.ts';
import { readGraph } from '../onnx/graph.ts';
import { type PackedWeights, type Product, productsOf, withOwnProducts } from '../onnx/own-products.ts';
import type { MappedWeights } from '../ort/mapped-weights.ts';
import type { Operator, Products } from '../ort/operator.ts';
import type { PreparedGraphOptions } from './prepared-graph.ts';

const run = promisify(execFile);
const program = fileURLToPath(new URL('./products-process.ts', import.meta.url));

/** What was found of the products of an operator. */
const verdictSchema = z.object({
  /** Absent: they are used. */
  refused: z.string().optional(),
  /** The process that compares them died, for the first time: it is no verdict yet. */
  again: z.literal(true).optional(),
});
type Verdict = z.infer<typeof verdictSchema>;

/** Beside a prepared graph: one for each build of the operator. */
const verdictFile = (folder: string, digest: string): string =>
  join(folder, `products-${digest.slice(0, 12)}.json`);

const onceDeleted = (folder: string, digest: string): string =>
  `they are compared again once ${verdictFile(folder, digest)} is deleted`;

const readVerdict = (folder: string, digest: string): Verdict | undefined => {
  try {
    return verdictSchema.parse(JSON.parse(readFileSync(verdictFile(folder, digest), 'utf8')));
  } catch {
    return undefined;
  }
};

export const writeVerdict = (folder: string, digest: string, verdict: Verdict): Promise<void> =>
  writeDurable(verdictFile(folder, digest), JSON.stringify(verdict));

/** Comparisons in a row that began and did not end, after which no other one is begun: two may be cuts of power. */
const mostUnended = 3;

/** Says how many those are, in digits: what ends the whole container while it compares leaves no other trace. */
const unendedFile = (folder: string, digest: string): string =>
  join(folder, `comparing-${digest.slice(0, 12)}`);

const unendedIn = (file: string): number => {
  try {
    return Number(readFileSync(file, 'utf8')) || 0;
  } catch {
    return 0;
  }
};

/** Does work that counts in a file as not ended until it ends, or is stopped. */
const countedIn = async (file: string, signal: AbortSignal, work: () => Promise<void>): Promise<void> => {
  await writeDurable(file, String(unendedIn(file) + 1));
  const uncount = (): void => rmSync(file, { force: true });
  // The engine process ends before anything that is waited for.
  signal.addEventListener('abort', uncount, { once: true });
  try {
    await work();
  } finally {
    signal.removeEventListener('abort', uncount);
    uncount();
  }
};

type OwnOptions = PreparedGraphOptions & {
  /** Path of the graph of the model. */
  readonly exported: string;
  readonly operator: Operator;
  readonly warn: (message: string) => void;
  /** Of the process that compares. Default: by the size of the weights. */
  readonly limitMs?: number;
};

/** 80 MB take 5 s: a machine that takes 16 times as long, and 5 minutes more, is waited for. */
const limitOf = (products: readonly Product[]): number => {
  const bytes = products.reduce(
    (sum, { inFeatures, outFeatures, bits }) => sum + (inFeatures * outFeatures * bits) / 8,
    0,
  );
  return 5 * 60_000 + Math.ceil(bytes / 1000);
};

/** What a process ended with, in a line. */
const lineOf = (error: unknown): string => {
  const text = String(error);
  const own = /^\w*Error(?!: Command failed).*$/m.exec(text)?.[0];
  if (own !== undefined || !(error instanceof Error)) return own ?? text;
  if ('killed' in error && error.killed === true) return 'the process that compares them took too long';
  const signal = 'signal' in error && typeof error.signal === 'string' ? ` by ${error.signal}` : '';
  return `the process that compares them was ended${signal}`;
};

/**
 * Compares products of the operator with those of ONNX Runtime, in a process of its own, which writes what it finds. One that dies
 * twice is not tried again. Nothing is said of the products by the end of this process, or when nobody waits any more.
 */
const compare = async (
  folder: string,
  { exported, operator, ...options }: OwnOptions & { readonly limitMs: number },
): Promise<void> => {
  const { signal, threads, headSize, doing, task = 'generate', windows, limitMs } = options;
  const diedBefore = readVerdict(folder, operator.digest) !== undefined;
  const args = [program, exported, folder, String(threads), String(headSize), task, operator.path];
  if (windows !== undefined) args.push(JSON.stringify(windows));
  try {
    const running = run(process.execPath, args, { signal, timeout: limitMs, killSignal: 'SIGKILL' });
    if (running.child.stdout !== null) createInterface({ input: running.child.stdout }).on('line', doing);
    await running;
  } catch (error) {
    signal.throwIfAborted();
    await writeVerdict(
      folder,
      operator.digest,
      diedBefore
        ? { refused: `${lineOf(error)}; ${onceDeleted(folder, operator.digest)}` }
        : { refused: `${lineOf(error)}; they are compared once more at the next start`, again: true },
    );
  }
};

/** True where products of the operator were found to be those of ONNX Runtime. */
const isProved = async (
  folder: string,
  options: OwnOptions & { readonly limitMs: number },
): Promise<boolean> => {
  const { digest } = options.operator;
  const known = readVerdict(folder, digest);
  if (known === undefined || known.again === true) {
    const unended = unendedFile(folder, digest);
    if (unendedIn(unended) < mostUnended)
      await countedIn(unended, options.signal, () => compare(folder, options));
    else {
      rmSync(unended);
      const why = `${mostUnended} comparisons in a row began and did not end, as where the kernel ends a whole container that takes more memory than it may: give it what \`adaptlet model check\` names`;
      await writeVerdict(folder, digest, { refused: `${why}; ${onceDeleted(folder, digest)}` });
    }
  }
  const { refused } = readVerdict(folder, digest) ?? { refused: 'nothing was found of them' };
  if (refused !== undefined) options.warn(`linears keep ONNX Runtime's products: ${refused}`);
  return refused === undefined;
};

/** Changes a graph over the weights that were packed. */
type ToOwn = (model: Buffer) => Buffer;
const asIs: ToOwn = (model) => model;

/** Begins no name in a graph, its branches included. */
const freePrefix = (graph: Buffer): string => {
  let prefix = 'packed.';
  while (graph.includes(prefix)) prefix = `_${prefix}`;
  return prefix;
};

/**
 * Packs what the native operator can multiply, and answers what puts the operator into graphs over the same weights. `location`: as
 * in {@link withOwnProducts}.
 * @throws RangeError; Error
 */
export const packProducts = async (
  graph: Buffer,
  weights: MappedWeights,
  { products, location }: { readonly products: Products; readonly location: string },
): Promise<{ readonly packed: ReadonlyMap<string, PackedWeights>; readonly toOwn: ToOwn }> => {
  const byKey = new Map(productsOf(readGraph(graph)).map((product) => [product.key, product]));
  const prefix = freePrefix(graph);
  const named = [...byKey.values()].map((product, at) => ({ ...product, name: `${prefix}${at}` }));
  await weights.pack(named, products);
  const packed = new Map<string, PackedWeights>(
    named.map((product) => [product.key, { name: product.name, length: products.bytesOf(product) }]),
  );
  return { packed, toOwn: (model) => withOwnProducts(model, packed, location) };
};

/**
 * What puts the native operator into graphs over the weights of a prepared one, in place of each linear that it can compute; nothing
 * where it has no products, or where they were found to be others than ONNX Runtime's, which `warn` is told.
 */
export const ownProducts = async (
  folder: string,
  { graph, weights }: { readonly graph: Buffer; readonly weights: MappedWeights },
  options: Omit<OwnOptions, 'operator'> & { readonly operator?: Operator | undefined },
): Promise<ToOwn> => {
  const { operator, exported, doing, signal, warn } = options;
  const linears = operator?.products === undefined ? [] : productsOf(readGraph(graph));
  if (operator?.products === undefined || linears.length === 0) return asIs;
  try {
    if (!(await isProved(folder, { limitMs: limitOf(linears), ...options, operator }))) return asIs;
    doing('packing the weights of its linears');
    const { products } = operator;
    const { toOwn } = await packProducts(graph, weights, { products, location: basename(exported) });
    return toOwn;
  } catch (error) {
    signal.throwIfAborted();
    warn(`linears keep ONNX Runtime's products: ${lineOf(error)}`);
    return asIs;
  }
};
