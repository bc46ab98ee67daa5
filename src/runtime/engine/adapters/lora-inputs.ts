import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Site } from '../../compiled/compile-target.ts';
import { inputOf } from '../onnx/lora-nodes.ts';
import { NativeMemory, PointerTable } from '../ort/memory.ts';
import { OrtTensor } from '../ort/tensor.ts';
import type { Feeds, LoraWay } from './feeds.ts';
import type { HalfAt, PairAt, Pairs } from './pairs.ts';

/** Tensors without elements need an address too. */
const nowhere: HalfAt = { address: new NativeMemory(0).address, type: 'float32', scale: 1 };
const none: PairAt = { rank: 0, a: nowhere, b: nowhere };

const tensorsOf = (
  { inFeatures, outFeatures, module }: Site,
  { rank, a, b, factors, shifts }: PairAt,
): readonly OrtTensor[] => {
  // The compiler refuses such an adapter; without its factors it would answer as another one.
  if (factors !== undefined || shifts !== undefined)
    throw new AdaptletError('INTERNAL', `The graph takes no factors and shifts, which ${module} has`);
  const tensor = (features: number, { address, type, scale }: HalfAt): OrtTensor => {
    if (type === 'float32' && scale === 1) return new OrtTensor('float32', [rank, features], address);
    throw new AdaptletError('INTERNAL', `The graph takes float32, not ${type} times ${scale}`);
  };
  return [tensor(inFeatures, a), tensor(outFeatures, b)];
};

/** The portable way: both halves of each linear are inputs of the graph, float32; all rows have the same adapter. */
export class LoraInputs implements LoraWay {
  readonly names: readonly string[];
  readonly weights = 'float32';
  readonly mixed = undefined;
  readonly #sites: ReadonlyMap<string, Site>;
  /** What says "no adapter here", shared by all that target only some of the linears. */
  readonly #rankZero: ReadonlyMap<string, readonly OrtTensor[]>;

  constructor(sites: readonly Site[]) {
    this.#sites = new Map(sites.map((site) => [site.module, site]));
    this.#rankZero = new Map(sites.map((site) => [site.module, tensorsOf(site, none)]));
    this.names = sites.flatMap(({ module }) => [inputOf(module, 'A'), inputOf(module, 'B')]);
  }

  feeds(maker: object, before: number, pairs: Pairs): Feeds {
    const stray = [...pairs.keys()].filter((module) => !this.#sites.has(module));
    if (stray.length > 0) {
      throw new AdaptletError(
        'INTERNAL',
        `Feeds differ from the graph's inputs: ${stray.slice(0, 5).join(', ')}`,
      );
    }
    const places = Array.from({ length: before }, () => 0n);
    const own: OrtTensor[] = [];
    const lora = [...this.#sites.values()].flatMap((site) => {
      const pair = pairs.get(site.module);
      if (pair === undefined) return this.#rankZero.get(site.module) ?? [];
      const tensors = tensorsOf(site, pair);
      own.push(...tensors);
      return tensors;
    });
    const values = new PointerTable([...places, ...lora.map(({ value }) => value)]);
    const release = (): void => {
      values.free();
      for (const tensor of own) tensor.release();
    };
    return { maker, values, rows: () => undefined, release };
  }

  release(): void {
    for (const tensor of [...this.#rankZero.values()].flat()) tensor.release();
  }
}
