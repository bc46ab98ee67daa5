import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { toolPath } from '../../cluster/index.ts';
import { repositoryRoot } from '../../support/process.ts';
import { type ProgramResult, runProgram } from '../../support/program.ts';
import { folderOfFile } from '../../support/temporary-folder.ts';

export const chart = join(repositoryRoot, 'charts/adaptlet');
export const namespace = 'adaptlet-system';

let home = '';

/** Helm keeps repositories and caches: here, in a folder of the file. Its process has others behind it. */
export const helmEnvironment = (kubeconfig: string): Record<string, string> => {
  if (!existsSync(home)) home = folderOfFile();
  return {
    KUBECONFIG: kubeconfig,
    HELM_CACHE_HOME: join(home, 'cache'),
    HELM_CONFIG_HOME: join(home, 'config'),
    HELM_DATA_HOME: join(home, 'data'),
  };
};

/** Runs the real helm. Without a kubeconfig it has no cluster to ask. */
export const helm = async (args: readonly string[], kubeconfig = '/dev/null'): Promise<ProgramResult> =>
  runProgram(await toolPath('helm'), args, { env: helmEnvironment(kubeconfig) });

/** The value sets of values/, by name. */
export const valueSets = readdirSync(join(import.meta.dirname, 'values')).map((file) =>
  file.replace('.yaml', ''),
);
export const valuesFile = (set: string): string => join(import.meta.dirname, 'values', `${set}.yaml`);
export const readValues = (file: string): unknown => parse(readFileSync(file, 'utf8'));

/** `helm template` of a release with the name and the namespace of the install. */
export const render = async (...args: readonly string[]): Promise<ProgramResult> =>
  runProgram(
    await toolPath('helm'),
    ['template', 'adaptlet', chart, '-n', namespace, '--kube-version', 'v1.34.4', ...args],
    // It ends before collecting garbage pays.
    { env: { ...helmEnvironment('/dev/null'), GOGC: 'off' } },
  );

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

/** The sidecar that the chart has the operator inject, as the operator mounts it. */
export const sidecarText = async (...args: readonly string[]): Promise<string> => {
  const found = (await rendered(...args)).find((one) => nameOf(one) === 'ConfigMap adaptlet-sidecar');
  const { 'sidecar.yaml': text } = (found?.['data'] ?? {}) as Readonly<Record<string, string>>;
  if (text === undefined) throw new Error(`helm template ${args.join(' ')} has no sidecar`);
  return text;
};
