import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../../errors/quote-untrusted.ts';

/** Codings that leave a body as it is, or that Node takes off. */
const plain = {
  'content-encoding': ['', 'identity'],
  'transfer-encoding': ['', 'identity', 'chunked'],
} as const satisfies Record<string, readonly string[]>;

/**
 * Refuses a body in a coding that changes it. Compressed bodies are not read: a few KiB of one may become as
 * many MiB, and to decompress it is work for whoever asks.
 * @throws BODY_ENCODED
 */
export const needPlain = (header: keyof typeof plain, value: string | undefined): void => {
  const known: readonly string[] = plain[header];
  const coding = value
    ?.split(',')
    .map((part) => part.trim())
    .find((part) => !known.includes(part.toLowerCase()));
  if (coding !== undefined)
    throw new AdaptletError('BODY_ENCODED', `the ${header} ${quoteUntrusted(coding)} is not read`);
};
