import { copyFileSync, linkSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Copies a folder: what are two names of a file are so in the copy, and the socket of a lock is one that nobody listens on. */
export const copyPast = (from: string, to: string, links = new Map<number, string>()): void => {
  mkdirSync(to);
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) {
      copyPast(source, target, links);
      continue;
    }
    const first = entry.isSocket() ? source : links.get(statSync(source).ino);
    if (first === undefined) {
      copyFileSync(source, target);
      links.set(statSync(source).ino, target);
    } else linkSync(first, target);
  }
};
