import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';
import { writeDurable } from '../../../disk/durable.ts';
import { readGraph } from '../onnx/graph.ts';
import { type PackedWeights, productsOf, withOwnProducts } from '../onnx/own-products.ts';
import type { MappedWeights } from '../ort/mapped-weights.ts';
import type { Operator, Products } from '../ort/operator.ts';
import type { PreparedGraphOptions } from './prepared-graph.ts';

const run = promisify(execFile);
const program = fileURLToPath(new URL('./products-process.ts', import.meta.url));

/** What was found of the products of an operator. */
const verdictSchema = z.object({
  /** Absent: they are used. */
  refused: z.string().optional(),
});
type Verdict = z.infer<typeof verdictSchema>;

/** Beside a prepared graph: one for each build of the operator. */
const verdictFile = (folder: string, digest: string): string =>
  join(folder, `products-${digest.slice(0, 12)}.json`);

const readVerdict = (folder: string, digest: string): Verdict | undefined => {
  try {
    return verdictSchema.parse(JSON.parse(readFileSync(verdictFile(folder, digest), 'utf8')));
  } catch {
    return undefined;
  }
};

export const writeVerdict = (folder: string, digest: string, verdict: Verdict): Promise<void> =>
  writeDurable(verdictFile(folder, digest), JSON.stringify(verdict));

type OwnOptions = PreparedGraphOptions & {
  /** Path of the graph of the model. */
  readonly exported: string;
  readonly operator: Operator;
  readonly warn: (message: string) => void;
};

/** True where products of the operator were found to be those of ONNX Runtime, in a process of its own that does it once. */
const isProved = async (folder: string, { exported, operator, ...options }: OwnOptions): Promise<boolean> => {
  const { signal, threads, headSize, doing, task = 'generate', windows, warn } = options;
  const known = readVerdict(folder, operator.digest);
  if (known === undefined) {
    const args = [program, exported, folder, String(threads), String(headSize), task, operator.path];
    if (windows !== undefined) args.push(JSON.stringify(windows));
    const running = run(process.execPath, args, { signal, killSignal: 'SIGKILL' });
    if (running.child.stdout !== null) createInterface({ input: running.child.stdout }).on('line', doing);
    await running;
  }
  const { refused } = known ??
    readVerdict(folder, operator.digest) ?? { refused: 'nothing was found of them' };
  if (refused !== undefined) warn(`linears keep ONNX Runtime's products: ${refused}`);
  return refused === undefined;
};

/** Changes a graph over the weights that were packed. */
type ToOwn = (model: Buffer) => Buffer;
const asIs: ToOwn = (model) => model;

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
  const named = [...byKey.values()].map((product, at) => ({ ...product, name: `packed.${at}` }));
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
  if (operator?.products === undefined || productsOf(readGraph(graph)).length === 0) return asIs;
  try {
    if (!(await isProved(folder, { ...options, operator }))) return asIs;
    doing('packing the weights of its linears');
    const { products } = operator;
    const { toOwn } = await packProducts(graph, weights, { products, location: basename(exported) });
    return toOwn;
  } catch (error) {
    signal.throwIfAborted();
    warn(`linears keep ONNX Runtime's products: ${String(error)}`);
    return asIs;
  }
};
