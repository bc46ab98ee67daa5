/** Seconds for which a file disturbs: `short` of them in CI, `ADAPTLET_SOAK_SECONDS` in `make soak`. */
export const soakSeconds = (short: number): number => Number(process.env['ADAPTLET_SOAK_SECONDS'] ?? short);
