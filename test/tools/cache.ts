import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where what tests need beyond npm is kept, in the user's cache: `kind` is a folder of it. */
export const cacheFolder = (kind: string): string =>
  join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'adaptlet', kind);
