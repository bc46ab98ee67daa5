import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { toolPath } from '../../cluster/index.ts';

const root = join(import.meta.dirname, '../../..');
export const chart = join(root, 'charts/adaptlet');
export const namespace = 'adaptlet-system';

/** Helm keeps repositories and caches: here, in a folder that goes with this process. */
const home = mkdtempSync(join(tmpdir(), 'adaptlet-helm-'));
process.on('exit', () => rmSync(home, { recursive: true, force: true }));

export type Result = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** Runs a program to its end. */
export const runProgram = (
  command: string,
  args: readonly string[],
  more: Readonly<Record<string, string>> = {},
): Promise<Result> =>
  new Promise((resolve, reject) => {
    const env = { ...process.env, ...more };
    const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, stdout, stderr }));
  });

export const helmEnvironment = (kubeconfig: string): Record<string, string> => ({
  KUBECONFIG: kubeconfig,
  HELM_CACHE_HOME: join(home, 'cache'),
  HELM_CONFIG_HOME: join(home, 'config'),
  HELM_DATA_HOME: join(home, 'data'),
});

/** Runs the real helm. Without a kubeconfig it has no cluster to ask. */
export const helm = async (args: readonly string[], kubeconfig = '/dev/null'): Promise<Result> =>
  runProgram(await toolPath('helm'), args, helmEnvironment(kubeconfig));

/** The value sets of values/, by name. */
export const valueSets = readdirSync(join(import.meta.dirname, 'values')).map((file) =>
  file.replace('.yaml', ''),
);
export const valuesFile = (set: string): string => join(import.meta.dirname, 'values', `${set}.yaml`);
export const readValues = (file: string): unknown => parse(readFileSync(file, 'utf8'));

/** `helm template` of a release with the name and the namespace of the install. */
export const render = (...args: readonly string[]): Promise<Result> =>
  helm(['template', 'adaptlet', chart, '-n', namespace, '--kube-version', 'v1.34.4', ...args]);

/** An object as a manifest has it. */
export type Manifest = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: unknown;
  readonly [field: string]: unknown;
};

export const manifestsOf = (text: string): Manifest[] =>
  parseAllDocuments(text)
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null);

/** The same; throws with helm's words when there is no output. */
export const rendered = async (...args: readonly string[]): Promise<Manifest[]> => {
  const { code, stdout, stderr } = await render(...args);
  if (code !== 0) throw new Error(`helm template ${args.join(' ')}: ${stderr}`);
  return manifestsOf(stdout);
};

export const nameOf = ({ kind, metadata }: Manifest): string => `${kind} ${metadata.name}`;
