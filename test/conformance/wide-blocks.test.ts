import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packProducts } from '../../src/runtime/engine/graphs/own-products.ts';
import { externalWeights, moveValues } from '../../src/runtime/engine/onnx/external-weights.ts';
import { readGraph } from '../../src/runtime/engine/onnx/graph.ts';
import { floatsMessage, nodeMessage, valueInfoMessage } from '../../src/runtime/engine/onnx/messages.ts';
import { growthOfProducts, productsOf } from '../../src/runtime/engine/onnx/own-products.ts';
import {
  elementType,
  graphField,
  microsoftDomain,
  modelField,
  opsetField,
  tensorField,
} from '../../src/runtime/engine/onnx/schema.ts';
import { contentField, integerField } from '../../src/runtime/engine/onnx/wire.ts';
import { MappedWeights } from '../../src/runtime/engine/ort/mapped-weights.ts';
import { refusedProduct } from '../../src/runtime/engine/proofs/prove-products.ts';
import { seededRandom } from '../../src/runtime/engine/random.ts';
import { folderOfTest } from '../support/temporary-folder.ts';
import { operator } from './support/operator.ts';

const location = 'weights';
const columns = 40;

const bytesMessage = (name: string, dims: readonly number[], values: Uint8Array): Buffer =>
  Buffer.concat([
    ...dims.map((dim) => integerField(tensorField.dims, dim)),
    integerField(tensorField.dataType, elementType.uint8),
    contentField(tensorField.name, name),
    contentField(tensorField.rawData, Buffer.from(values)),
  ]);

const opset = (domain: string, version: number): Buffer =>
  contentField(
    modelField.opsetImport,
    Buffer.concat([contentField(opsetField.domain, domain), integerField(opsetField.version, version)]),
  );

type Shape = {
  readonly inFeatures: number;
  readonly bits: 4 | 8;
  readonly block: number;
  readonly zeros: boolean;
};

/** A model of one linear of random weights, which lie in a file of the folder. */
const modelOf = ({ inFeatures, bits, block, zeros }: Shape, folder: string): Buffer => {
  const blocks = Math.ceil(inFeatures / block);
  const random = seededRandom(inFeatures + block + bits);
  const bytes = (name: string, ...dims: readonly number[]): Buffer => {
    const length = dims.reduce((product, dim) => product * dim, 1);
    return bytesMessage(
      name,
      dims,
      Uint8Array.from({ length }, () => 256 * random()),
    );
  };
  const initializers = [
    bytes('values', columns, blocks, (block * bits) / 8),
    floatsMessage('scales', [columns * blocks], Float32Array.from({ length: columns * blocks }, random)),
    ...(zeros ? [bytes('zeros', columns * Math.ceil((blocks * bits) / 8))] : []),
  ];
  const node = nodeMessage({
    opType: 'MatMulNBits',
    domain: microsoftDomain,
    name: 'linear',
    inputs: ['x', 'values', 'scales', ...(zeros ? ['zeros'] : [])],
    outputs: ['y'],
    attributes: { K: inFeatures, N: columns, bits, block_size: block, accuracy_level: 4 },
  });
  const tensor = (name: string, features: number): Buffer =>
    valueInfoMessage(name, elementType.float, ['tokens', features]);
  const graph = Buffer.concat([
    contentField(graphField.node, node),
    contentField(graphField.name, 'one linear'),
    ...initializers.map((each) => contentField(graphField.initializer, each)),
    contentField(graphField.input, tensor('x', inFeatures)),
    contentField(graphField.output, tensor('y', columns)),
  ]);
  const model = Buffer.concat([
    integerField(modelField.irVersion, 8),
    contentField(modelField.graph, graph),
    opset('', 17),
    opset(microsoftDomain, 1),
  ]);
  let file = Buffer.alloc(0);
  const moved = moveValues(model, (values) => {
    const offset = file.length;
    file = Buffer.concat([file, values, Buffer.alloc((4096 - (values.length % 4096)) % 4096)]);
    return { location, offset };
  });
  writeFileSync(join(folder, location), file);
  return moved;
};

const shapes: readonly Shape[] = [64, 128, 256].flatMap((block) =>
  [256, 300].flatMap((inFeatures) =>
    ([4, 8] as const).flatMap((bits) => [true, false].map((zeros) => ({ block, inFeatures, bits, zeros }))),
  ),
);

const products = operator?.products;

describe.runIf(products !== undefined)('linears in blocks of more than 32', () => {
  it.each(shapes)('have products of ONNX Runtime’s: %o', async (shape) => {
    const folder = folderOfTest();
    const model = modelOf(shape, folder);
    const graph = readGraph(model);
    const weights = MappedWeights.open(externalWeights(graph), () => join(folder, location));
    const [product] = productsOf(graph);
    expect(product).toMatchObject({ block: shape.block });
    const stored = externalWeights(graph).reduce(
      (sum, { dims, dataType }) =>
        sum + dims.reduce((all, dim) => all * dim, dataType === elementType.float ? 4 : 1),
      0,
    );
    const ofColumn = products!.bytesOf(product!) / (Math.ceil(columns / 16) * 16);
    expect(ofColumn).toBeGreaterThan((0.95 * (stored + growthOfProducts(graph))) / columns);
    expect(ofColumn).toBeLessThan((1.15 * (stored + growthOfProducts(graph))) / columns);
    const { packed } = await packProducts(model, weights, { products: products!, location });
    const options = { threads: 1, operator };
    const refused = [];
    for (const level of products!.levels)
      refused.push(
        await refusedProduct(
          [product!],
          { graph, weights, packed, location, level, weightsFolder: folder },
          options,
        ),
      );
    expect(refused).toEqual(products!.levels.map(() => undefined));
    weights.release();
  });

  it('are refused where their scales are those of other blocks', async () => {
    const folder = folderOfTest();
    const model = modelOf({ inFeatures: 256, block: 64, bits: 4, zeros: false }, folder);
    const graph = readGraph(model);
    const weights = MappedWeights.open(externalWeights(graph), () => join(folder, location));
    const [product] = productsOf(graph);
    // As of blocks of 128: what comes of it is another linear.
    const narrow = {
      ...products!,
      pack: (stored: Parameters<NonNullable<typeof products>['pack']>[0], to: bigint) =>
        products!.pack({ ...stored, block: 128 }, to),
    };
    const { packed } = await packProducts(model, weights, { products: narrow, location });
    const place = { graph, weights, packed, location, level: products!.levels[0], weightsFolder: folder };
    expect(await refusedProduct([product!], place, { threads: 1, operator })).toContain('a column of linear');
    weights.release();
  });
});
