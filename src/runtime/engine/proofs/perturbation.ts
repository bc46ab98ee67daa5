import type { Site } from '../../compiled/compile-target.ts';
import { floatPair, type PairAt, type Pairs } from '../adapters/pairs.ts';
import { NativeMemory } from '../ort/memory.ts';
import { seededRandom } from '../random.ts';

const bytesOf = ({ inFeatures, outFeatures }: Site): number =>
  (inFeatures + outFeatures) * Float32Array.BYTES_PER_ELEMENT;

/** An adapter of rank 1 that moves the output of each of some linears by `strength` times what its input is large. */
export class Perturbation implements Disposable {
  readonly #memory: NativeMemory;
  readonly #pairs = new Map<string, PairAt>();

  constructor(sites: readonly Site[], seed: number, strength = 1) {
    this.#memory = new NativeMemory(sites.reduce((sum, site) => sum + bytesOf(site), 0));
    const random = seededRandom(seed);
    let at = 0;
    for (const site of sites) {
      this.#fill(site, at, { random, strength });
      at += bytesOf(site);
    }
  }

  get pairs(): Pairs {
    return this.#pairs;
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
    this.#pairs.set(module, floatPair(1, a, a + BigInt(inFeatures * Float32Array.BYTES_PER_ELEMENT)));
  }
}
