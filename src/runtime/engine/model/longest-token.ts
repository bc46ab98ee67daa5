import { z } from 'zod';
import type {
  NormalizerConfig,
  PreTokenizerConfig,
  TokenizerConfig,
  TokenizerFile,
} from './tokenizer-config.ts';

const byteLevelBpe = z.object({ type: z.literal('BPE'), vocab: z.record(z.string(), z.number()) });

/** Of a tokenizer that splits bytes: parts that leave nothing of a text out. */
const keepsText = (part: PreTokenizerConfig): boolean =>
  part.type === 'ByteLevel' ||
  part.type === 'Digits' ||
  (part.type === 'Split' && part['behavior'] !== 'Removed') ||
  (part.pretokenizers?.every(keepsText) ?? false);

const isByteLevel = (part: PreTokenizerConfig): boolean =>
  part.type === 'ByteLevel' || (part.pretokenizers?.some(isByteLevel) ?? false);

/** Bytes that become one at most; undefined where a text can become as short as you like. */
const shrinks = (normalizer: NormalizerConfig | null | undefined): number | undefined => {
  if (normalizer == null) return 1;
  // Three jamo of three bytes each become a syllable of three; nothing composes to less.
  if (normalizer.type === 'NFC') return 3;
  return undefined;
};

/**
 * Bytes of a text, in UTF-8, that one token stands for at most; undefined where a token can stand for any number of them,
 * or that is not known. So many tokens a text has at least, which is known without making them.
 */
export const longestToken = (file: TokenizerFile, config: TokenizerConfig): number | undefined => {
  const model = byteLevelBpe.safeParse(file['model']);
  const { pre_tokenizer: parts, normalizer, added_tokens: added } = file;
  const shrink = shrinks(normalizer);
  if (!model.success || parts == null || shrink === undefined) return undefined;
  if (!keepsText(parts) || !isByteLevel(parts)) return undefined;
  if (config['remove_space'] === true || config['do_lowercase_and_remove_accent'] === true) return undefined;
  // Such tokens take the spaces beside them.
  if (added.some((token) => token['lstrip'] === true || token['rstrip'] === true)) return undefined;
  const { vocab } = model.data;
  const singles = Object.keys(vocab).filter((token) => token.length === 1).length;
  // A byte without a token is left out.
  if (singles < 256) return undefined;
  // Each byte is one character there.
  let longest = 0;
  for (const token in vocab) longest = Math.max(longest, token.length);
  for (const { content } of added) longest = Math.max(longest, Buffer.byteLength(content));
  return longest * shrink;
};
