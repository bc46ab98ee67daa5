import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Site } from '../../compiled/compile-target.ts';
import { inputOf } from '../onnx/inject.ts';
import { NativeMemory, PointerTable } from '../ort/memory.ts';
import type { TensorInfo } from '../ort/session.ts';
import { OrtTensor } from '../ort/tensor.ts';

/** One half of an adapter's pairs for every site that it targets, by graph input. */
export type LoraTensors = ReadonlyMap<string, OrtTensor>;

/**
 * Everything that one adapter feeds, built once: building 420 entries per step would cost as much as the switch
 * itself. Only the session that made it takes it: it has that session's inputs, position by position.
 */
export class Feeds {
  readonly values: PointerTable;
  /** The session that made it. */
  readonly maker: object;
  readonly #own: readonly OrtTensor[];

  /** `own` are released with it. */
  constructor(maker: object, values: PointerTable, own: readonly OrtTensor[]) {
    this.maker = maker;
    this.values = values;
    this.#own = own;
  }

  /** Between steps only. */
  release(): void {
    this.values.free();
    for (const tensor of this.#own) tensor.release();
  }
}

/** Tensors without elements need an address too. */
const nowhere = new NativeMemory(0).address;

/** The LoRA inputs of a graph, in the order in which they are fed behind its other inputs. */
export class LoraInputs {
  readonly names: readonly string[];
  /** What says "no adapter here", shared by all that target only some of the sites. */
  readonly #rankZero: ReadonlyMap<string, OrtTensor>;

  /** Of the inputs that say how many dimensions they take, those that take three. */
  readonly #threeDimensional: ReadonlySet<string>;

  /** `inputs`: those of the graph, of which the ones of the sites are taken. */
  constructor(sites: readonly Site[], inputs: readonly Pick<TensorInfo, 'name' | 'shape'>[]) {
    this.#threeDimensional = new Set(
      inputs.filter(({ shape }) => shape.length === 3).map(({ name }) => name),
    );
    const none = new Map<string, OrtTensor>();
    for (const { module, inFeatures, outFeatures } of sites) {
      const [a, b] = [inputOf(module, 'A'), inputOf(module, 'B')];
      none.set(a, new OrtTensor('float32', this.#shape(a, [0, inFeatures]), nowhere));
      none.set(b, new OrtTensor('float32', this.#shape(b, [0, outFeatures]), nowhere));
    }
    this.#rankZero = none;
    this.names = [...none.keys()];
  }

  /**
   * Feeds of an adapter for `maker`, which own its tensors from now on, behind `before` places that each step fills; a
   * site that it does not target gets rank 0.
   * @throws INTERNAL when a tensor fits no input
   */
  feeds(maker: object, before: number, lora: LoraTensors): Feeds {
    const stray = [...lora.keys()].filter((name) => !this.#rankZero.has(name));
    if (stray.length > 0) {
      throw new AdaptletError(
        'INTERNAL',
        `Feeds differ from the graph's inputs: ${stray.slice(0, 5).join(', ')}`,
      );
    }
    const places = Array.from({ length: before }, () => 0n);
    const own = new Map([...lora].map(([name, tensor]) => [name, this.#fitted(name, tensor)]));
    const values = [...this.#rankZero].map(([name, none]) => (own.get(name) ?? none).value);
    return new Feeds(maker, new PointerTable([...places, ...values]), [...own.values()]);
  }

  release(): void {
    for (const tensor of this.#rankZero.values()) tensor.release();
  }

  #shape(name: string, shape: readonly number[]): readonly number[] {
    return this.#threeDimensional.has(name) && shape.length === 2 ? [1, ...shape] : shape;
  }

  /** The tensor itself, or one over the same memory with the dimensions that its input takes. */
  #fitted(name: string, tensor: OrtTensor): OrtTensor {
    const shape = this.#shape(name, tensor.shape);
    if (shape === tensor.shape) return tensor;
    tensor.release();
    return new OrtTensor(tensor.type, shape, tensor.address);
  }
}

/**
 * Feeds of another graph would land in other inputs.
 * @throws INTERNAL
 */
export const checkMaker = (feeds: Feeds, session: object): void => {
  if (feeds.maker === session) return;
  throw new AdaptletError('INTERNAL', 'The feeds are of another session');
};
