import { execFile } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { basename } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { writeDurable } from '../../../disk/durable.ts';
import { readGraph } from '../onnx/graph.ts';
import {
  type OwnProducts,
  type PackedWeights,
  type Product,
  productsOf,
  withOwnProducts,
} from '../onnx/own-products.ts';
import type { MappedWeights } from '../ort/mapped-weights.ts';
import type { Operator, Products } from '../ort/operator.ts';
import { areKnownFaster } from '../proofs/products-times.ts';
import type { PreparedGraphOptions } from './prepared-graph.ts';
import {
  keptText,
  onceDeleted,
  type ProductsOf,
  readVerdict,
  unendedFile,
  usedProducts,
  writeVerdict,
} from './products-verdict.ts';

const run = promisify(execFile);
const program = fileURLToPath(new URL('./products-process.ts', import.meta.url));

/** Comparisons in a row that began and did not end, after which no other one is begun: two may be cuts of power. */
const mostUnended = 3;

/** As an unended file says, in digits: what ends the whole container while it compares leaves no other trace. */
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
  /** Of the operator. */
  readonly of: ProductsOf;
  /** Of the process that compares. Default: by the size of the weights. */
  readonly limitMs?: number;
  /** Bytes of linears that a model has at least for its products to be measured. Default: 1 MiB. */
  readonly leastMeasured?: number;
};

const bytesOf = (products: readonly Product[]): number =>
  products.reduce((sum, { inFeatures, outFeatures, bits }) => sum + (inFeatures * outFeatures * bits) / 8, 0);

/** 80 MB take 5 s: a machine that takes 16 times as long, and 5 minutes more, is waited for. */
const limitOf = (products: readonly Product[]): number => 5 * 60_000 + Math.ceil(bytesOf(products) / 1000);

/** Of fewer bytes a step takes less than what is around it: which products are faster cannot be measured. */
const usualLeastMeasured = 1 << 20;

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
  { exported, operator, of, ...options }: OwnOptions & { readonly limitMs: number },
): Promise<void> => {
  const { signal, threads, headSize, doing, task = 'generate', windows, limitMs } = options;
  const diedBefore = readVerdict(folder, of) !== undefined;
  const args = [program, exported, folder, String(threads), String(headSize), task, operator.path, of.level];
  if (windows !== undefined) args.push(JSON.stringify(windows));
  try {
    const running = run(process.execPath, args, { signal, timeout: limitMs, killSignal: 'SIGKILL' });
    if (running.child.stdout !== null) createInterface({ input: running.child.stdout }).on('line', doing);
    await running;
  } catch (error) {
    signal.throwIfAborted();
    await writeVerdict(
      folder,
      of,
      diedBefore
        ? { refused: `${lineOf(error)}; ${onceDeleted(folder, of)}` }
        : { refused: `${lineOf(error)}; they are compared once more at the next start`, again: true },
    );
  }
};

/** True where products of the operator were found to be those of ONNX Runtime, and faster. */
const isProved = async (
  folder: string,
  options: OwnOptions & { readonly limitMs: number },
): Promise<boolean> => {
  const { of } = options;
  const known = readVerdict(folder, of);
  if (known === undefined || known.again === true) {
    const unended = unendedFile(folder, of);
    if (unendedIn(unended) < mostUnended)
      await countedIn(unended, options.signal, () => compare(folder, options));
    else {
      rmSync(unended);
      const why = `${mostUnended} comparisons in a row began and did not end, as after power cuts and kills, or where the kernel ends a whole container that takes more memory than it may: give it what \`adaptlet model check\` names`;
      await writeVerdict(folder, of, { refused: `${why}; ${onceDeleted(folder, of)}` });
    }
  }
  const { refused } = readVerdict(folder, of) ?? { refused: 'nothing was found of them' };
  if (refused !== undefined) options.warn(`linears ${keptText(refused)}`);
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
 * Packs what the native operator can multiply, and answers what puts the operator into graphs over the same weights.
 * @throws RangeError; Error
 */
export const packProducts = async (
  graph: Buffer,
  weights: MappedWeights,
  { products, location }: Pick<OwnProducts, 'location'> & { readonly products: Products },
): Promise<{ readonly packed: ReadonlyMap<string, PackedWeights>; readonly toOwn: ToOwn }> => {
  const byKey = new Map(productsOf(readGraph(graph)).map((product) => [product.key, product]));
  const prefix = freePrefix(graph);
  const named = [...byKey.values()].map((product, at) => ({ ...product, name: `${prefix}${at}` }));
  await weights.pack(named, products);
  const packed = new Map<string, PackedWeights>(
    named.map((product) => [product.key, { name: product.name, length: products.bytesOf(product) }]),
  );
  return {
    packed,
    toOwn: (model) => withOwnProducts(model, { packed, location, level: products.levels[0] }),
  };
};

/**
 * What puts the native operator into graphs over the weights of a prepared one, in place of each linear that it can compute; nothing
 * where it has no products, or where they were found to be others than ONNX Runtime's or not faster, which `warn` is told.
 */
export const ownProducts = async (
  folder: string,
  { graph, weights }: { readonly graph: Buffer; readonly weights: MappedWeights },
  options: Omit<OwnOptions, 'operator' | 'of'> & { readonly operator?: Operator | undefined },
): Promise<ToOwn> => {
  const { operator, exported, doing, signal, warn, leastMeasured = usualLeastMeasured } = options;
  const of = operator === undefined ? undefined : usedProducts(operator);
  if (operator?.products === undefined || of === undefined) return asIs;
  const linears = productsOf(readGraph(graph));
  const least = areKnownFaster(of.level, linears) ? 1 : leastMeasured;
  if (bytesOf(linears) < least) return asIs;
  try {
    if (!(await isProved(folder, { limitMs: limitOf(linears), ...options, operator, of }))) return asIs;
    doing('packing the weights of its linears');
    const { products } = operator;
    const { toOwn } = await packProducts(graph, weights, { products, location: basename(exported) });
    return toOwn;
  } catch (error) {
    signal.throwIfAborted();
    warn(`linears ${keptText(lineOf(error))}`);
    return asIs;
  }
};
