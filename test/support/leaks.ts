import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

const overlap = 4096;

/** A secret as it may be written: as it is, in base64, and as a part of base64 that does not begin with it. */
const formsOf = (secret: string): Buffer[] => {
  const bytes = Buffer.from(secret);
  const inBase64 = [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift, 0x20), bytes]).toString('base64');
    // Without the groups that are also made of what stands before and after.
    return text.slice(shift === 0 ? 0 : 4, text.length - 4);
  });
  return [secret, ...inBase64].map((text) => Buffer.from(text));
};

/** Names of the secrets that are in a text, as they are or in base64. */
export const leaksIn = (content: Buffer | string, secrets: ReadonlyMap<string, string>): string[] => {
  const bytes = Buffer.from(content);
  return [...secrets].flatMap(([name, secret]) =>
    formsOf(secret).some((form) => bytes.includes(form)) ? [name] : [],
  );
};

/** The same of a file of any size. */
export const leaksInFile = async (path: string, secrets: ReadonlyMap<string, string>): Promise<string[]> => {
  const found = new Set<string>();
  let before = Buffer.alloc(0);
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 22 })) {
    const piece = Buffer.concat([before, chunk as Buffer]);
    for (const name of leaksIn(piece, secrets)) found.add(name);
    before = Buffer.from(piece.subarray(-overlap));
  }
  return [...found];
};

/** `file: name of the secret` for each file below a folder. */
export const leaksBelow = async (
  folder: string,
  secrets: ReadonlyMap<string, string>,
): Promise<{ readonly leaks: string[]; readonly files: number }> => {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const leaks: string[] = [];
  for (const file of files)
    for (const name of await leaksInFile(file, secrets)) leaks.push(`${file}: ${name}`);
  return { leaks, files: files.length };
};
