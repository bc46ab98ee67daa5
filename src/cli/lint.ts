import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { type ManifestDocument, parseManifests } from '../api/parse.ts';
import { keyOf, referenceFindings } from '../api/references.ts';
import { manifestWarnings } from '../api/warnings.ts';
import { maxManifestBytes } from '../api/yaml-documents.ts';
import { policyProblems } from './lint-policies.ts';
import { type RegistryFlags, withMirrorFlag, withRegistryFlags } from './registry/registry-flags.ts';

/** Something that lint says about a line of a file. */
export type LintFinding = { readonly file: string; readonly line: number; readonly reason: string };

export type LintIo = {
  /** Results; each call is one or more whole lines. */
  readonly out: (text: string) => void;
  /** Everything else. */
  readonly err: (text: string) => void;
};

export type LintOptions = {
  readonly output?: 'text' | 'json';
  /** Namespace of objects that name none. */
  readonly namespace?: string;
  readonly recursive?: boolean;
  /** How adapters in registries are reached. */
  readonly registry?: RegistryFlags;
};

type Located = ManifestDocument & { readonly file: string };
type Report = {
  readonly files: string[];
  readonly adapters: string[];
  readonly documents: Located[];
  readonly problems: LintFinding[];
  readonly warnings: LintFinding[];
};

/** Whether lint is asked about an adapter: one in a registry, or a folder that PEFT saved. */
const isAdapter = (path: string): boolean =>
  path.startsWith('oci://') ||
  ['adapter_config.json', 'adapter_model.safetensors'].some((name) => existsSync(join(path, name)));

/**
 * Checks manifest files, and the manifest files of folders, the way a runtime does, and how their objects fit
 * together; adapters as far as that goes without their base model. Returns the exit code: 0 when there are no problems
 * (warnings do not count), else 1.
 */
export const lintFiles = async (
  paths: readonly string[],
  io: LintIo,
  { output = 'text', namespace = 'default', recursive = false, registry = {} }: LintOptions = {},
): Promise<number> => {
  const report: Report = { files: [], adapters: [], documents: [], problems: [], warnings: [] };
  for (const path of paths) {
    if (isAdapter(path)) await checkAdapter(path, registry, report);
    else await collectFiles(path, recursive, report);
  }
  for (const file of report.files) await readManifests(file, namespace, report);
  checkTogether(report);
  if (output === 'json') printJson(report, io);
  else printText(report, io);
  return report.problems.length === 0 ? 0 : 1;
};

const why = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const checkAdapter = async (path: string, flags: RegistryFlags, report: Report): Promise<void> => {
  // Loaded here: manifests are checked without what reads adapters.
  const { lintAdapter } = await import('./lint-adapter.ts');
  report.adapters.push(path);
  try {
    const found = await lintAdapter(path, flags);
    for (const kind of ['problems', 'warnings'] as const)
      report[kind].push(...found[kind].map((reason) => ({ file: path, line: 0, reason })));
  } catch (error) {
    report.problems.push({ file: path, line: 0, reason: `cannot be read: ${why(error)}` });
  }
};

/** A folder has the same manifests for lint as for a runtime; a file is taken whatever its name. */
const collectFiles = async (path: string, recursive: boolean, report: Report): Promise<void> => {
  try {
    if (!(await stat(path)).isDirectory()) {
      if (!report.files.includes(path)) report.files.push(path);
      return;
    }
    const before = report.files.length;
    const entries = (await readdir(path, { recursive, withFileTypes: true }))
      .filter((entry) => /\.ya?ml$/.test(entry.name) && !entry.name.startsWith('.') && !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name))
      .toSorted();
    report.files.push(...entries.filter((file) => !report.files.includes(file)));
    if (report.files.length === before && entries.length === 0) {
      report.problems.push({ file: path, line: 0, reason: 'the folder has no .yaml or .yml file' });
    }
  } catch (error) {
    report.problems.push({ file: path, line: 0, reason: `cannot be read: ${why(error)}` });
  }
};

const readManifests = async (file: string, defaultNamespace: string, report: Report): Promise<void> => {
  try {
    const tooLarge = (await stat(file)).size > maxManifestBytes;
    // One character more than the limit is enough for the parser to say so.
    const text = tooLarge ? ' '.repeat(maxManifestBytes + 1) : await readFile(file, 'utf8');
    const { documents, problems } = parseManifests(text, file, { defaultNamespace });
    report.problems.push(...problems);
    report.documents.push(...documents.map((document) => ({ ...document, file })));
  } catch (error) {
    report.problems.push({ file, line: 0, reason: `cannot be read: ${why(error)}` });
  }
};

const checkTogether = ({ documents, problems, warnings }: Report): void => {
  const owners = new Map<string, Located>();
  for (const document of documents) {
    const identity = identityOf(document.manifest.kind, keyOf(document.manifest));
    const owner = owners.get(identity);
    if (owner === undefined) owners.set(identity, document);
    else {
      const reason = `${identity} is defined in ${owner.file}:${owner.line} already: remove one of the two`;
      problems.push({ file: document.file, line: document.line, reason });
    }
    for (const { path, reason } of manifestWarnings(document.manifest)) {
      warnings.push({ file: document.file, line: document.lineOf(path), reason });
    }
  }
  const located = [...owners.values()];
  for (const { document, path, reason } of policyProblems(located)) {
    problems.push({ file: document.file, line: document.lineOf(path), reason });
  }
  for (const finding of referenceFindings(located.map((owner) => owner.manifest))) {
    const owner = owners.get(identityOf(finding.kind, finding.key));
    if (owner === undefined) continue;
    const list = finding.severity === 'Problem' ? problems : warnings;
    list.push({ file: owner.file, line: owner.lineOf(finding.path), reason: finding.reason });
  }
};

const identityOf = (kind: string, key: string): string => `${kind} ${key}`;

const inOrder = (findings: readonly LintFinding[]): LintFinding[] =>
  findings.toSorted((a, b) => (a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1));

const printJson = ({ files, adapters, documents, problems, warnings }: Report, io: LintIo): void => {
  const result = {
    files: files.length,
    adapters: adapters.length,
    objects: documents.length,
    problems: inOrder(problems),
    warnings: inOrder(warnings),
  };
  io.out(`${JSON.stringify(result, undefined, 2)}\n`);
};

const printText = ({ files, adapters, documents, problems, warnings }: Report, io: LintIo): void => {
  const all = [...problems, ...warnings.map((w) => ({ ...w, reason: `warning: ${w.reason}` }))];
  for (const { file, line, reason } of inOrder(all))
    io.out(`${line === 0 ? file : `${file}:${line}`}: ${reason}\n`);
  const counts = [
    count(files.length, 'file'),
    count(documents.length, 'object'),
    ...(adapters.length === 0 ? [] : [count(adapters.length, 'adapter')]),
    count(problems.length, 'problem'),
    count(warnings.length, 'warning'),
  ];
  io.err(`${counts.join(', ')}\n`);
};

const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`;

/** `adaptlet lint`. */
export const lintCommand = (): Command =>
  withMirrorFlag(withRegistryFlags(new Command('lint')))
    .description('check manifests and adapters, with the messages that a runtime gives')
    .argument(
      '<paths...>',
      'manifest files, folders of .yaml and .yml files, PEFT folders, and adapters as oci://registry/repository[:tag]',
    )
    .addOption(new Option('-o, --output <form>', 'how to print it').choices(['text', 'json']).default('text'))
    .option('-n, --namespace <name>', 'namespace of objects that name none', 'default')
    .option('-R, --recursive', 'folders within folders as well')
    .addHelpText(
      'after',
      '\nPrints FILE:LINE: REASON for each problem and warning. Of an adapter it checks kind, rank, tensors and their values; its base model is not looked at. Exit code 1 when there is a problem; warnings do not count.\n\nExample:\n  adaptlet lint examples',
    )
    .action(async (paths: string[], flags: LintOptions & RegistryFlags) => {
      const { registryConfig, insecureRegistries, ca, registryMirrors, ...options } = flags;
      const given = { registryConfig, insecureRegistries, ca, registryMirrors };
      const io: LintIo = {
        out: (text) => process.stdout.write(text),
        err: (text) => process.stderr.write(text),
      };
      process.exitCode = await lintFiles(paths, io, { ...options, registry: given });
    });
