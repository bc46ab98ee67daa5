import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Cluster, toolPath } from '../../cluster/index.ts';
import { repositoryRoot } from '../../support/process.ts';
import { type ProgramResult, runProgram } from '../../support/program.ts';
import { helmEnvironment } from './helm.ts';

/** The shell blocks of a page of docs/how-to, in their order. Those that need more than a test has carry a word: ```sh k3s. */
export const shellBlocks = (page: string): string[] => {
  const text = readFileSync(join(repositoryRoot, 'docs/how-to', page), 'utf8');
  return [...text.matchAll(/^( *)```sh\n([\s\S]*?)^ *```$/gm)].map(([, indent = '', block = '']) =>
    block.replaceAll(new RegExp(`^${indent}`, 'gm'), '').trim(),
  );
};

/** Runs a block with helm and kubectl on a cluster. */
export const runBlock = async (
  cluster: Cluster,
  block: string,
  { cwd = repositoryRoot, env = {}, programs = [] }: BlockOptions = {},
): Promise<ProgramResult> => {
  const tools = [await toolPath('helm'), await toolPath('kubectl')].map((path) => dirname(path));
  const path = [...programs, ...tools, process.env['PATH']].join(':');
  return runProgram('timeout', ['120', 'bash', '-ec', block], {
    cwd,
    env: { ...helmEnvironment(cluster.kubeconfig), ...env, PATH: path },
  });
};

type BlockOptions = {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Folders of more programs. */
  readonly programs?: readonly string[];
};
