import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { errnoOf } from '../errors/errno.ts';

export type Credentials = { readonly username: string; readonly password: string };

const schema = z.object({
  auths: z
    .record(
      z.string(),
      z.object({
        auth: z.string().optional(),
        username: z.string().optional(),
        password: z.string().optional(),
      }),
    )
    .optional(),
});

/** Keys are hosts, or URLs of which only the host counts. */
const hostOfKey = (key: string): string => key.replace(/^[a-z]+:\/\//, '').replace(/\/.*$/, '');

const decode = (auth: string): Credentials | undefined => {
  const text = Buffer.from(auth, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon === -1 ? undefined : { username: text.slice(0, colon), password: text.slice(colon + 1) };
};

const parse = (text: string, path: string): z.infer<typeof schema> => {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    // The cause may quote the file, which has secrets.
    throw new AdaptletError('CREDENTIALS_INVALID', `${path} is not JSON with "auths"`);
  }
};

/**
 * Credentials for a registry out of a docker config.json, read anew each time, so that a rotated secret is used at
 * once. A file that is not there has none. Credential helpers are not asked: a node has no login session.
 * @throws AdaptletError CREDENTIALS_INVALID
 */
export const readCredentials = async (path: string, registry: string): Promise<Credentials | undefined> => {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw new AdaptletError('CREDENTIALS_INVALID', `${path} cannot be read`, {
      advice: 'Let the process read the file.',
      cause: error,
    });
  }
  const entries = Object.entries(parse(text, path).auths ?? {});
  const entry = entries.find(([key]) => hostOfKey(key) === registry)?.[1];
  if (entry?.auth !== undefined && entry.auth !== '') return decode(entry.auth);
  if (entry?.username === undefined || entry.password === undefined) return undefined;
  return { username: entry.username, password: entry.password };
};

/** Credentials out of a docker config.json for whoever speaks to registries; none without a file. */
export const credentialsIn =
  (path: string | undefined) =>
  async (registry: string): Promise<Credentials | undefined> =>
    path === undefined ? undefined : await readCredentials(path, registry);
