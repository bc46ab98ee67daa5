import type { Site } from '../../compiled/compile-target.ts';
import type { LoraTensors } from '../adapters/feeds.ts';
import type { PairAt } from '../adapters/loaded-adapter.ts';
import { inputOf } from '../onnx/inject.ts';
import { NativeMemory } from '../ort/memory.ts';
import { OrtTensor } from '../ort/tensor.ts';
import { seededRandom } from '../random.ts';

const bytesOf = ({ inFeatures, outFeatures }: Site): number =>
  (inFeatures + outFeatures) * Float32Array.BYTES_PER_ELEMENT;

/** An adapter of rank 1 that moves the output of each of some linears by `strength` times what its input is large. */
export class Perturbation implements Disposable {
  readonly rank = 1;
  readonly #memory: NativeMemory;
  readonly #sites: readonly Site[];
  readonly #pairs = new Map<string, PairAt>();

  constructor(sites: readonly Site[], seed: number, strength = 1) {
    this.#sites = sites;
    this.#memory = new NativeMemory(sites.reduce((sum, site) => sum + bytesOf(site), 0));
    const random = seededRandom(seed);
    let at = 0;
    for (const site of sites) {
      this.#fill(site, at, { random, strength });
      at += bytesOf(site);
    }
  }

  get modules(): readonly string[] {
    return [...this.#pairs.keys()];
  }

  pairAt(module: string): PairAt | undefined {
    return this.#pairs.get(module);
  }

  /** What a graph makes feeds of, which own them. */
  tensors(): LoraTensors {
    const tensors = new Map<string, OrtTensor>();
    for (const { module, inFeatures, outFeatures } of this.#sites) {
      const { a, b } = this.#pairs.get(module) ?? { a: 0n, b: 0n };
      tensors.set(inputOf(module, 'A'), new OrtTensor('float32', [1, inFeatures], a));
      tensors.set(inputOf(module, 'B'), new OrtTensor('float32', [1, outFeatures], b));
    }
    return tensors;
  }

  /** Once no feeds are left. */
  [Symbol.dispose](): void {
    this.#memory.free();
  }

  #fill(
    site: Site,
    at: number,
    { random, strength }: { readonly random: () => number; readonly strength: number },
  ): void {
    const { module, inFeatures, outFeatures } = site;
    const values = new Float32Array(this.#memory.buffer, at, inFeatures + outFeatures);
    for (const index of values.keys()) {
      const size = index < inFeatures ? 1 / Math.sqrt(inFeatures) : strength;
      values[index] = random() < 0.5 ? -size : size;
    }
    const a = this.#memory.address + BigInt(at);
    this.#pairs.set(module, {
      rank: 1,
      a,
      b: a + BigInt(inFeatures * Float32Array.BYTES_PER_ELEMENT),
    });
  }
}
