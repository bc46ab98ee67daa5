/** The code of a system error (`ENOSPC`), or undefined. */
export const errnoOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;

/** True when a write failed because the disk, or the quota of the user on it, has no room. */
export const isDiskFull = (error: unknown): boolean => {
  const code = errnoOf(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
};
