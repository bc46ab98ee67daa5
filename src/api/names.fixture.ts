import type { Digest } from './names.ts';

/** A digest made of one hexadecimal digit. */
export const fakeDigest = (digit: string): Digest => `sha256:${digit.repeat(64)}` as Digest;
