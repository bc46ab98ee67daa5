import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Site } from '../../compiled/compile-target.ts';
import { inputOf } from '../onnx/inject.ts';
import { NativeMemory, PointerTable } from '../ort/memory.ts';
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

  constructor(sites: readonly Site[]) {
    const none = new Map<string, OrtTensor>();
    for (const { module, inFeatures, outFeatures } of sites) {
      none.set(inputOf(module, 'A'), new OrtTensor('float32', [0, inFeatures], nowhere));
      none.set(inputOf(module, 'B'), new OrtTensor('float32', [0, outFeatures], nowhere));
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
    const values = [...this.#rankZero].map(([name, none]) => (lora.get(name) ?? none).value);
    return new Feeds(maker, new PointerTable([...places, ...values]), [...lora.values()]);
  }

  release(): void {
    for (const tensor of this.#rankZero.values()) tensor.release();
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
