import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { Credentials } from '../../artifact/docker-config.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { errnoOf } from '../../errors/errno.ts';
import { quoteUntrusted } from '../../errors/quote-untrusted.ts';

/** Milliseconds that a helper has. Some ask a person to unlock a keychain. */
const helperMs = 30_000;

const configSchema = z.object({
  credsStore: z.string().optional(),
  credHelpers: z.record(z.string(), z.string()).optional(),
});
const answerSchema = z.object({ Username: z.string(), Secret: z.string() });

/** Under these docker writes what belongs to its own registry. */
const hubKeys = ['https://index.docker.io/v1/', 'index.docker.io', 'docker.io', 'registry-1.docker.io'];

/** What helpers of docker write where they have nothing for a registry. */
const notFound = /credentials not found/i;

const invalid = (what: string, advice: string): AdaptletError =>
  new AdaptletError('CREDENTIALS_INVALID', what, { advice });

/** The helper that a config names for a registry, and the key to ask it for. */
const helperFor = (text: string, path: string, registry: string) => {
  let config: z.infer<typeof configSchema>;
  try {
    config = configSchema.parse(JSON.parse(text));
  } catch {
    // The cause may quote the text, which has secrets.
    throw invalid(`${path} has credsStore or credHelpers of another form`, 'Log in again.');
  }
  const keys = hubKeys.includes(registry) ? hubKeys : [registry];
  const own = keys.find((key) => Object.hasOwn(config.credHelpers ?? {}, key));
  const name = own === undefined ? config.credsStore : config.credHelpers?.[own];
  if (name === undefined || name === '') return undefined;
  if (!/^[a-z0-9-]+$/.test(name))
    throw invalid(
      `${path} names the credential helper ${quoteUntrusted(name)}`,
      'A helper has a name of lower case letters, digits and dashes.',
    );
  return { program: `docker-credential-${name}`, server: keys[0] ?? registry };
};

type Ended = { readonly error: Error | null; readonly stdout: string };

const run = (program: string, server: string, timeoutMs: number): Promise<Ended> =>
  new Promise((resolve) => {
    const options = { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: 1 << 20 } as const;
    const child = execFile(program, ['get'], options, (error, stdout) => resolve({ error, stdout }));
    // A helper that ends without reading is judged by how it ended.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(server);
  });

/**
 * Credentials of a registry from the helper that a docker config.json names for it (credHelpers, credsStore); undefined: there is
 * no helper, or it has none for the registry.
 * @throws AdaptletError CREDENTIALS_INVALID
 */
export const askCredentialHelper = async (
  path: string,
  registry: string,
  timeoutMs = helperMs,
): Promise<Credentials | undefined> => {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  const helper = text === undefined ? undefined : helperFor(text, path, registry);
  if (helper === undefined) return undefined;
  const { program, server } = helper;
  const { error, stdout } = await run(program, server, timeoutMs);
  if (error !== null) {
    if (notFound.test(stdout)) return undefined;
    const why =
      errnoOf(error) === 'ENOENT'
        ? 'is not on the PATH'
        : 'killed' in error && error.killed === true
          ? `gave no answer in ${timeoutMs / 1000} s`
          : `failed: ${quoteUntrusted(stdout.trim())}`;
    throw invalid(
      `${program}, which ${path} names for ${registry}, ${why}`,
      'Install or unlock it, or name another file by --registry-config.',
    );
  }
  let answer: z.infer<typeof answerSchema>;
  try {
    answer = answerSchema.parse(JSON.parse(stdout));
  } catch {
    throw invalid(`${program} gave an answer that is not known`, 'Check it with docker login.');
  }
  // Docker's mark of an identity token.
  if (answer.Username === '<token>') return { identityToken: answer.Secret };
  return { username: answer.Username, password: answer.Secret };
};
