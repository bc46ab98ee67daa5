/**
 * For processes with many TLS connections. Node keeps some bytes of each (what it speaks, by ALPN) as a part of its pool of small
 * Buffers, and with them the whole piece of the pool that they were cut from: 64 KiB since Node 24, and one for each connection where
 * others take from the pool in between. Pieces have the size of before here.
 */
export const keepPoolSmall = (): void => {
  Buffer.poolSize = 8 << 10;
};
