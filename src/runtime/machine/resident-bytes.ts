import { type ReadText, readText } from './control-groups.ts';

/** RAM of a process, pages of files that it shares included. Undefined where there is none, or nobody can tell: Linux only. */
export const residentBytesOf = (pid: number | undefined, read: ReadText = readText): number | undefined => {
  if (pid === undefined) return undefined;
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1];
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
};
