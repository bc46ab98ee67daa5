import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { ErrorCode } from '../errors/catalogue.ts';
import { errnoOf } from '../errors/errno.ts';

export type Password = { readonly username: string; readonly password: string };

/** A user and its password, or a refresh token (OAuth 2), as `az acr login` and the like leave it: docker's identity token. */
export type Credentials = Password | { readonly identityToken: string };

/** Whom a registry is asked as, for one repository of it; undefined: as nobody. */
export type CredentialsOf = (registry: string, repository: string) => Promise<Credentials | undefined>;

const entrySchema = z.object({
  auth: z.string().optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  identitytoken: z.string().optional(),
});
const schema = z.object({ auths: z.record(z.string(), entrySchema).optional() });
type Entry = z.infer<typeof entrySchema>;

/** A docker config.json, read. */
type DockerConfig = z.infer<typeof schema>;

/** Docker's own registry goes by several names; its config has the oldest one. */
const hub = 'index.docker.io';
const hubNames = new Set(['docker.io', 'registry-1.docker.io', hub]);
const hostOf = (host: string): string => (hubNames.has(host) ? hub : host);

/** Host and parts of the path of a key. `/v1` and `/v2` are the protocol's, as docker login wrote them. */
const placeOf = (key: string): { readonly host: string; readonly path: readonly string[] } => {
  const [host = '', ...path] = key
    .replace(/^[a-z]+:\/\//, '')
    .split('/')
    .filter((part) => part !== '');
  const isProtocol = path.length === 1 && /^v[12]$/.test(path[0] ?? '');
  return { host: hostOf(host.toLowerCase()), path: isProtocol ? [] : path };
};

/** `*` stands for one whole part of a host. */
const matchesHost = (pattern: string, host: string): boolean => {
  if (pattern === host) return true;
  const [parts, wanted] = [pattern.split('.'), host.split('.')];
  return (
    pattern.includes('*') &&
    parts.length === wanted.length &&
    parts.every((part, index) => part === '*' || part === wanted[index])
  );
};

const decode = (auth: string): Password | undefined => {
  const text = Buffer.from(auth, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon === -1 ? undefined : { username: text.slice(0, colon), password: text.slice(colon + 1) };
};

/** Of an entry; undefined: it has none. An identity token counts before a password, as docker has it. */
export const credentialsOf = ({
  auth,
  username,
  password,
  identitytoken: identityToken = '',
}: Entry): Credentials | undefined => {
  if (identityToken !== '') return { identityToken };
  if (auth !== undefined && auth !== '') return decode(auth);
  return username === undefined || password === undefined ? undefined : { username, password };
};

/**
 * @param where names it in messages; what is in it is secret
 * @throws AdaptletError `code`
 */
export const parseDockerConfig = (
  text: string,
  where: string,
  code: ErrorCode = 'CREDENTIALS_INVALID',
): DockerConfig => {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    // The cause may quote the text, which has secrets.
    throw new AdaptletError(code, `${where} is not JSON with "auths"`);
  }
};

/**
 * The entry for a repository: of its registry, and of the longest path that leads to the repository, by whole parts. An exact
 * host wins over a pattern.
 */
export const entryFor = (
  { auths = {} }: DockerConfig,
  registry: string,
  repository: string,
): Entry | undefined => {
  const host = hostOf(registry.toLowerCase());
  const parts = repository.split('/');
  const found = Object.entries(auths)
    .map(([key, entry]) => ({ ...placeOf(key), entry }))
    .filter((one) => matchesHost(one.host, host) && one.path.every((part, index) => part === parts[index]))
    .sort((a, b) => b.path.length - a.path.length || Number(b.host === host) - Number(a.host === host));
  return found[0]?.entry;
};

/**
 * Credentials for a repository out of a docker config.json, read anew each time, so that a rotated secret is used at
 * once. A file that is not there has none. Credential helpers are not asked: a node has no login session.
 * @throws AdaptletError CREDENTIALS_INVALID
 */
export const readCredentials = async (
  path: string,
  registry: string,
  repository: string,
): Promise<Credentials | undefined> => {
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
  const entry = entryFor(parseDockerConfig(text, path), registry, repository);
  return entry && credentialsOf(entry);
};

/** Credentials out of a docker config.json for whoever speaks to registries; none without a file. */
export const credentialsIn =
  (path: string | undefined): CredentialsOf =>
  async (registry, repository) =>
    path === undefined ? undefined : await readCredentials(path, registry, repository);
