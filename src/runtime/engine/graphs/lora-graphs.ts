import type { Site } from '../../compiled/compile-target.ts';
import { sameAnswers } from '../proofs/wiring.ts';
import type { DecoderSession } from '../session/decoder-session.ts';

/** Opens a graph with LoRA inputs at the wanted sites only. */
export type OpenSubset = (wanted: (site: Site) => boolean) => Promise<DecoderSession>;

export type LoraGraphsParts = {
  /** Takes adapters of any sites. */
  readonly full: DecoderSession;
  readonly openSubset: OpenSubset;
  readonly warn: (message: string) => void;
};

/** Each graph costs memory of its own: this many besides the full one. */
const maxSubsets = 2;
/** A graph with more of the sites than this is hardly faster than the full one. */
const worthwhileShare = 0.7;

/** What layers have in common: `self_attn.q_proj` of `model.layers.3.self_attn.q_proj`. */
const kindOf = (module: string): string => module.replace(/^.*\.\d+\./, '');

/**
 * The graphs that adapters run on. A site that an adapter does not target costs three operators per step all the same,
 * so adapters that target few kinds of linears (q and v are the commonest) get a graph with inputs at those only.
 *
 * Guarantees: whatever graph an adapter gets, its answers are the same, bit for bit; that is proved when a graph is made.
 * Calls come one at a time.
 */
export class LoraGraphs {
  readonly full: DecoderSession;
  readonly #parts: LoraGraphsParts;
  readonly #subsets: { readonly kinds: ReadonlySet<string>; readonly session: DecoderSession }[] = [];
  /** Those that were tried and did not work out. */
  readonly #failed = new Set<string>();

  constructor(parts: LoraGraphsParts) {
    this.full = parts.full;
    this.#parts = parts;
  }

  /** The graph for an adapter that targets these modules. */
  async graphFor(modules: Iterable<string>): Promise<DecoderSession> {
    const kinds = new Set([...modules].map(kindOf));
    const share =
      this.full.sites.filter(({ module }) => kinds.has(kindOf(module))).length / this.full.sites.length;
    if (share > worthwhileShare) return this.full;
    const known = this.#subsets.find((subset) => [...kinds].every((kind) => subset.kinds.has(kind)));
    if (known !== undefined) return known.session;
    const key = [...kinds].sort().join(' ');
    if (this.#subsets.length >= maxSubsets || this.#failed.has(key)) return this.full;
    try {
      const session = await this.#open(kinds);
      this.#subsets.push({ kinds, session });
      return session;
    } catch (error) {
      this.#failed.add(key);
      this.#parts.warn(`adapters of ${key} run on the graph for all linears: ${String(error)}`);
      return this.full;
    }
  }

  /** Not during a step. */
  release(): void {
    for (const { session } of this.#subsets) session.release();
    this.full.release();
  }

  async #open(kinds: ReadonlySet<string>): Promise<DecoderSession> {
    const session = await this.#parts.openSubset(({ module }) => kinds.has(kindOf(module)));
    if (await sameAnswers(session, this.full)) return session;
    session.release();
    throw new Error('its answers are not those of the full graph');
  }
}
