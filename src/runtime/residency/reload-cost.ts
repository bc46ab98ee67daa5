/** Milliseconds of a load whatever its size, and for a byte of RAM more, as bench `cold` measures them. */
const fixedMs = 5;
const msPerByte = 0.75e-6;

/**
 * Expected time from Compiled to Resident. A model and not what was measured of the adapter: one that happened to be
 * loaded while the node was busy is not worth more. Only proportions count. What left RAM is always Compiled, so that
 * nothing is fetched again for it.
 */
export const reloadMs = (bytes: number): number => fixedMs + msPerByte * bytes;
