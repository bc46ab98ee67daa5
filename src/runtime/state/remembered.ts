import type { Digest } from '../../api/names.ts';
import type { Resolutions, Verdicts } from '../residency/ports.ts';
import type { Memory } from './memory.ts';

/** Digests that sources resolved to, by uid of their Adapter, kept in a state file. */
export const rememberedResolutions = (
  file: Memory['resolutions'],
  known: Readonly<Record<string, Digest>>,
): Resolutions => {
  const byUid = new Map(Object.entries(known));
  const write = (): Promise<void> => file.write({ byUid: Object.fromEntries(byUid) });
  return {
    get: (uid) => byUid.get(uid),
    set: (uid, digest) => {
      byUid.set(uid, digest);
      return write();
    },
    forget: async (uid) => {
      if (byUid.delete(uid)) await write();
    },
    uidsOf: (digest) => [...byUid].flatMap(([uid, its]) => (its === digest ? [uid] : [])),
  };
};

/** Most verdicts that are kept; the oldest are run again when they are needed. */
const maxVerdicts = 10_000;

/** Passed probes and smoke tests, kept in a state file. */
export const rememberedVerdicts = (
  file: Memory['verdicts'],
  known: Readonly<Record<string, string>>,
): Verdicts => {
  const passed = new Map(Object.entries(known));
  return {
    get: (key) => passed.get(key),
    set: (key, value) => {
      passed.delete(key);
      passed.set(key, value);
      for (const oldest of passed.keys()) {
        if (passed.size <= maxVerdicts) break;
        passed.delete(oldest);
      }
      return file.write({ passed: Object.fromEntries(passed) });
    },
  };
};
