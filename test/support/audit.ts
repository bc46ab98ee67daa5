import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What the API server noted of one request. */
export type AuditedRequest = {
  readonly user: string;
  readonly verb: string;
  /** '' is the core group. */
  readonly group: string;
  /** With its subresource: `adapters/status`. */
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
  /** HTTP status of the answer. */
  readonly code: number;
  /** Which binding allowed it, in the words of the API server; '' when nothing did. */
  readonly allowedBy: string;
};

type Entry = {
  readonly verb: string;
  readonly user: { readonly username: string };
  readonly requestURI: string;
  readonly objectRef?: {
    readonly apiGroup?: string;
    readonly resource?: string;
    readonly subresource?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
  readonly responseStatus?: { readonly code?: number };
  readonly annotations?: Readonly<Record<string, string>>;
};

/** The audit log of an API server that was started with `flags`: who asked for what, and which right allowed it. */
export class AuditLog implements AsyncDisposable {
  readonly flags: readonly string[];
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.flags = [`--audit-policy-file=${join(folder, 'policy')}`, `--audit-log-path=${join(folder, 'log')}`];
  }

  /** Of the requests of these users only. */
  static async of(users: readonly string[]): Promise<AuditLog> {
    const folder = await mkdtemp(join(tmpdir(), 'adaptlet-audit-'));
    const policy = {
      apiVersion: 'audit.k8s.io/v1',
      kind: 'Policy',
      // A watch is noted when it begins: it may not end while a test runs.
      omitStages: ['RequestReceived'],
      rules: [{ level: 'Metadata', users }, { level: 'None' }],
    };
    await writeFile(join(folder, 'policy'), JSON.stringify(policy));
    return new AuditLog(folder);
  }

  /** What was noted up to now; a request is noted when it was answered. */
  async requests(): Promise<AuditedRequest[]> {
    const text = await readFile(join(this.#folder, 'log'), 'utf8');
    // The last line may be under way.
    const lines = text.slice(0, text.lastIndexOf('\n')).split('\n');
    return lines.map((line) => requestOf(JSON.parse(line) as Entry));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}

const requestOf = ({
  user,
  verb,
  requestURI,
  objectRef,
  responseStatus,
  annotations,
}: Entry): AuditedRequest => {
  const { apiGroup = '', resource = requestURI, subresource, namespace = '', name = '' } = objectRef ?? {};
  const isAllowed = annotations?.['authorization.k8s.io/decision'] === 'allow';
  return {
    user: user.username,
    verb,
    group: apiGroup,
    resource: subresource === undefined ? resource : `${resource}/${subresource}`,
    namespace,
    name,
    code: responseStatus?.code ?? 0,
    allowedBy: isAllowed ? (annotations['authorization.k8s.io/reason'] ?? '') : '',
  };
};
