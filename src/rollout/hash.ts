import createXxhash from 'xxhash-wasm';

const xxhash = await createXxhash();

/** xxHash64 of the UTF-8 form of `value` (https://github.com/Cyan4973/xxHash), 0 to 2^64 - 1. */
export const hash64 = (value: string, seed = 0n): bigint => xxhash.h64(value, seed);

/** {@link hash64} as 16 lower-case hexadecimal digits. */
export const hash64Hex = (value: string): string => hash64(value).toString(16).padStart(16, '0');
