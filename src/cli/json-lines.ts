import { readFile } from 'node:fs/promises';
import type { z } from 'zod';
import { AdaptletError } from '../errors/adaptlet-error.ts';

/**
 * Reads a file of JSON lines; empty lines do not count.
 * @param example a line as it should be, for people who wrote another one
 * @throws AdaptletError CONFIG_INVALID with the line
 */
export const readJsonLines = async <S extends z.ZodType>(
  file: string,
  schema: S,
  example: string,
): Promise<readonly z.output<S>[]> => {
  const lines = (await readFile(file, 'utf8')).split('\n');
  return lines.flatMap((line, index) => {
    if (line.trim() === '') return [];
    const refuse = (what: string, cause?: unknown): AdaptletError =>
      new AdaptletError('CONFIG_INVALID', `${file}:${index + 1}: ${what}`, {
        advice: `Write a JSON object a line: ${example}.`,
        cause,
      });
    let json: unknown;
    try {
      json = JSON.parse(line);
    } catch (cause) {
      throw refuse('is not JSON', cause);
    }
    const read = schema.safeParse(json);
    if (read.success) return [read.data];
    const [{ path, message } = { path: [], message: 'is not valid' }] = read.error.issues;
    throw refuse(path.length === 0 ? message : `${path.join('.')}: ${message}`);
  });
};
