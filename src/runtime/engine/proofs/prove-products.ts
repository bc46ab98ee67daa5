import type { Graph } from '../onnx/graph.ts';
import { comparisonOf, type OwnProducts, type Product } from '../onnx/own-products.ts';
import type { MappedWeights } from '../ort/mapped-weights.ts';
import { NativeMemory, PointerTable } from '../ort/memory.ts';
import { OnnxSession } from '../ort/session.ts';
import { OrtTensor } from '../ort/tensor.ts';
import { TensorRun } from '../ort/tensor-run.ts';
import { seededRandom } from '../random.ts';
import { type RunOptions, sessionOptions } from '../session/runtime-options.ts';

/** Two tiles of tokens, and one that is not whole. */
const tokens = 19;
/** Of a column over all tokens, over what ONNX Runtime gives. One of 1,000 weights that is a step of 16 off comes to 0.007. */
const mostOfColumn = 0.005;
/**
 * x is whole numbers, of which one in each so many is the largest, times one of some powers of two for each block: in 8 bits it is
 * exact, and what takes the scale of another block or token is far off.
 */
const [largest, largestEvery, powers] = [127, 16, 5];
/** Of all logits: a difference in the last bit decides how inputs are rounded to 8 bits in the layers after it. */
const mostOfGraph = 0.1;

const floats = (data: Uint8Array<ArrayBuffer> | undefined): Float32Array =>
  new Float32Array(data?.buffer ?? new ArrayBuffer());

/** Size of the difference over that of what is expected; of what is no number, infinite. */
export const distanceOf = (
  got: Float32Array,
  expected: Float32Array,
  { first = 0, step = 1 } = {},
): number => {
  let difference = 0;
  let size = 0;
  for (let at = first; at < expected.length; at += step) {
    difference += ((got[at] ?? Number.NaN) - (expected[at] ?? 0)) ** 2;
    size += (expected[at] ?? 0) ** 2;
  }
  if (difference === 0) return 0;
  const distance = Math.sqrt(difference / size);
  return Number.isNaN(distance) ? Infinity : distance;
};

/** What products are compared over. */
export type ProductsPlace = OwnProducts & {
  readonly graph: Graph;
  readonly weights: MappedWeights;
  readonly weightsFolder: string;
};

/** A product of the native operator and ONNX Runtime's, on the same random input. */
const farthestColumn = async (
  product: Product,
  { weights, weightsFolder, ...place }: ProductsPlace,
  options: RunOptions,
): Promise<number> => {
  const session = await OnnxSession.open(comparisonOf(product, place), {
    ...sessionOptions(options, 'none'),
    weightsFolder,
    weights,
  });
  const { inFeatures, outFeatures, block } = product;
  const room = new NativeMemory(tokens * inFeatures * Float32Array.BYTES_PER_ELEMENT);
  const random = seededRandom(inFeatures);
  const x = new Float32Array(room.buffer).map((_, at) => {
    const [token, position] = [Math.floor(at / inFeatures), at % inFeatures];
    const whole = position % largestEvery === 0 ? largest : Math.round(largest * (2 * random() - 1));
    return whole * 2 ** -((token + Math.floor(position / block)) % powers);
  });
  new Float32Array(room.buffer).set(x);
  const tensor = new OrtTensor('float32', [tokens, inFeatures], room.address);
  const run = new TensorRun(session, ['x']);
  const inputs = new PointerTable([tensor.value]);
  try {
    const [theirs, ours] = await run.run(inputs, ['theirs', 'ours']);
    const [expected, got] = [floats(theirs?.data), floats(ours?.data)];
    let most = 0;
    for (let first = 0; first < outFeatures; first += 1)
      most = Math.max(most, distanceOf(got, expected, { first, step: outFeatures }));
    return most;
  } finally {
    run.free();
    inputs.free();
    tensor.release();
    room.free();
    session.release();
  }
};

/**
 * Why the native operator must not take the linears of a graph; undefined where each of its products is ONNX Runtime's within the
 * rounding of both.
 */
export const refusedProduct = async (
  products: readonly Product[],
  place: ProductsPlace,
  options: RunOptions,
): Promise<string | undefined> => {
  for (const product of products) {
    const most = await farthestColumn(product, place, options);
    if (most > mostOfColumn) return `a column of ${product.node.name} differs by ${most.toPrecision(2)}`;
  }
  return undefined;
};

/** The same of all that a graph answers. */
export const refusedGraph = (expected: Float32Array, got: Float32Array): string | undefined => {
  const distance = got.length === expected.length ? distanceOf(got, expected) : Infinity;
  return distance <= mostOfGraph ? undefined : `answers of the graph differ by ${distance.toPrecision(2)}`;
};
