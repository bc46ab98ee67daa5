import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { writeDurable } from '../../../disk/durable.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Site } from '../../compiled/compile-target.ts';
import type { Pairs } from '../adapters/pairs.ts';
import type { DecoderSession } from '../session/decoder-session.ts';
import { Perturbation } from './perturbation.ts';

/** How a proof is made once. */
export type ProofOptions = {
  /** Of graph, provider, library and machine. */
  readonly key: string;
  /** Where verdicts are kept. */
  readonly cacheDir: string;
  /** See ModelOptions. */
  readonly doing: (what: string) => void;
};

/** Several tokens: with one, attention does not depend on queries and keys. */
const ids = [3, 5, 7, 11];

/** Keys and values that are stored as int8 may round the first one away. What ignores all of them is not wired. */
const strengths = [1, 16, 256];

/** What has LoRA inputs and answers by numbers. */
type Wired = Pick<DecoderSession, 'sites' | 'feeds' | 'logitsOf'>;

const logitsWith = async (session: Wired, pairs: Pairs): Promise<Float32Array> => {
  const feeds = session.feeds(pairs);
  try {
    return await session.logitsOf(feeds, ids, [ids.length - 1]);
  } finally {
    feeds.release();
  }
};

/** Modules, of these linears, whose LoRA inputs do not reach the logits. */
export const unwiredModules = async (
  session: Wired,
  sites: readonly Site[] = session.sites,
): Promise<readonly string[]> => {
  if (sites.length === 0) return [];
  const base = await logitsWith(session, new Map());
  const unwired: string[] = [];
  for (const [index, site] of sites.entries()) {
    const answers = async (strength: number): Promise<boolean> => {
      using one = new Perturbation([site], index, strength);
      const moved = await logitsWith(session, one.pairs);
      return moved.some((value, at) => Number.isFinite(value) && value !== base[at]);
    };
    let changed = false;
    for (const strength of strengths) changed ||= await answers(strength);
    if (!changed) unwired.push(site.module);
  }
  return unwired;
};

/**
 * Proves once per graph that each LoRA input alone changes the logits. The verdict is kept in `cacheDir`. `doubtful`: linears
 * that are not known to by a faster way.
 * @throws MODEL_WIRING_BROKEN
 */
export const proveWiring = async (
  session: Wired,
  { key, cacheDir, doing }: ProofOptions,
  doubtful: () => Promise<readonly Site[]> = async () => session.sites,
): Promise<void> => {
  const verdict = join(cacheDir, 'wiring', key);
  if (existsSync(verdict)) return;
  doing(`proving that each of ${session.sites.length} linears takes adapters, once`);
  const unwired = await unwiredModules(session, await doubtful());
  if (unwired.length > 0) {
    throw new AdaptletError(
      'MODEL_WIRING_BROKEN',
      `${unwired.length} of ${session.sites.length} linears ignore their adapter: ${unwired.slice(0, 5).join(', ')}`,
    );
  }
  await writeDurable(verdict, 'every linear answers to its adapter\n');
};
