import { execute, type Verdict } from './judge.ts';
import type { Target } from './target.ts';

const maxTries = 2000;

/** A shorter input with the same mark: pieces are left out, the largest first. */
export const shrink = async (
  target: Target,
  input: Uint8Array,
  { mark }: Pick<Verdict, 'mark'>,
  onTry: (input: Uint8Array) => void = () => undefined,
): Promise<Uint8Array> => {
  let best = input;
  let tries = 0;
  for (let piece = Math.ceil(best.length / 2); piece > 0; piece = piece === 1 ? 0 : Math.ceil(piece / 2)) {
    for (let at = 0; at < best.length && tries < maxTries; ) {
      tries += 1;
      const shorter = Buffer.concat([best.subarray(0, at), best.subarray(at + piece)]);
      onTry(shorter);
      const verdict = await execute(target, shorter);
      if (verdict.kind === 'found' && verdict.mark === mark) best = shorter;
      else at += piece;
    }
  }
  return best;
};
