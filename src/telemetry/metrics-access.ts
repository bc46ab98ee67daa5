import { createHash, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { AdaptletError } from '../errors/adaptlet-error.ts';

/** Who may read metrics, which name what all namespaces have. */
export type MetricsSettings = {
  /** `token`: this machine, and who shows the token of the file. `everybody`: who reaches the port. */
  readonly metricsAccess: 'token' | 'everybody';
  readonly metricsTokenFile?: string | undefined;
};

/** Who asks: the address of the other side of the connection, and the header Authorization. */
export type MetricsReader = { readonly address: string; readonly authorization: string };

/** 200, or why there are no metrics for who asks. */
export type MetricsVerdict =
  | { readonly status: 200 }
  | {
      readonly status: 401 | 503;
      readonly message: string;
      readonly headers: Readonly<Record<string, string>>;
    };

export type MetricsAccess = (reader: MetricsReader) => Promise<MetricsVerdict>;

/** Longest token, in characters. */
const maxToken = 4_096;

const isLocal = (address: string): boolean => /^(::ffff:)?127\.|^::1$/.test(address);

/** Comparing digests takes the same time whatever is shown. */
const isSame = (shown: string, token: string): boolean =>
  timingSafeEqual(createHash('sha256').update(shown).digest(), createHash('sha256').update(token).digest());

const refused: MetricsVerdict = {
  status: 401,
  message: 'metrics are for who shows the token of --metrics-token-file, and for this machine\n',
  headers: { 'www-authenticate': 'Bearer' },
};

const tokenIn = async (path: string): Promise<string> => {
  const token = (await readFile(path, 'utf8')).trim();
  if (token.length < 16 || token.length > maxToken || !/^[\x21-\x7e]+$/.test(token))
    throw new Error(`it has to have one word of 16 to ${maxToken} characters`);
  return token;
};

/**
 * Decides who may read metrics. The file is read anew for each answer, so that another token counts at once.
 * @throws CONFIG_INVALID where the file has no token now
 */
export const metricsAccess = async ({
  metricsAccess: access,
  metricsTokenFile: path,
}: MetricsSettings): Promise<MetricsAccess> => {
  if (path !== undefined) {
    await tokenIn(path).catch((error: unknown) => {
      const why = error instanceof Error ? error.message : String(error);
      throw new AdaptletError('CONFIG_INVALID', `--metrics-token-file: ${path}: ${why}`, { cause: error });
    });
  }
  return async ({ address, authorization }) => {
    if (access === 'everybody' || isLocal(address)) return { status: 200 };
    const [, shown] = /^Bearer +([\x21-\x7e]+)$/i.exec(authorization.slice(0, maxToken + 16)) ?? [];
    if (path === undefined || shown === undefined) return refused;
    try {
      return isSame(shown, await tokenIn(path)) ? { status: 200 } : refused;
    } catch {
      return { status: 503, message: 'the file of --metrics-token-file cannot be read\n', headers: {} };
    }
  };
};
