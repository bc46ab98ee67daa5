import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { rolloutSpecSchema } from '../../../src/api/rollout.ts';
import { toolPath } from '../../cluster/index.ts';
import { codeBlocks } from '../../support/code-blocks.ts';
import { digestOfFolder, TestFleet } from '../../support/fleet.ts';
import { programFolder, repositoryRoot } from '../../support/process.ts';
import { runProgram } from '../../support/program.ts';
import { waitFor } from '../../support/wait.ts';

const page = readFileSync(join(repositoryRoot, 'docs/how-to/roll-out-in-a-cluster.md'), 'utf8');

/** Where the two artifacts of the page lie here: nobody runs its registry. */
const folders: Readonly<Record<string, string>> = { v1: 'adapters/upper', v2: 'adapters/reverse' };

let fleet: TestFleet;
beforeAll(async () => {
  fleet = await TestFleet.start({ runtimes: 2 });
});
afterAll(() => fleet?.[Symbol.asyncDispose]());

describe('docs/how-to/roll-out-in-a-cluster.md', () => {
  it('has manifests and commands that do, one after the other, what it says', async () => {
    const [yaml = '', ...parts] = codeBlocks(page, 'yaml');
    // Parts of the spec, to be put in where they are wanted: every field is one that there is.
    for (const part of parts) rolloutSpecSchema.parse({ adapter: 'shout-v1', ...(parse(part) as object) });
    let manifests = yaml;
    for (const [tag, path] of Object.entries(folders)) {
      manifests = manifests.replace(
        `source: { oci: { image: "registry.example/team-a/shout:${tag}" } }`,
        `source: {path: {path: ${path}}}\n  digest: ${await digestOfFolder(path)}`,
      );
    }
    expect(manifests).not.toContain('registry.example');
    await writeFile(join(fleet.folder, 'shout.yaml'), manifests);

    const { kubeconfig } = fleet.cluster;
    const path = [dirname(await toolPath('kubectl')), programFolder(), process.env['PATH']];
    const env = { KUBECONFIG: kubeconfig, PATH: path.join(':') };
    const run = async (script: string): Promise<string> => {
      const result = await runProgram('bash', ['-ec', script], { cwd: fleet.folder, env });
      expect(result, script).toMatchObject({ code: 0 });
      return result.stdout;
    };
    await run(`kubectl config set-context --current --namespace=${fleet.namespace}`);

    const [apply = '', change = '', promote = '', undo = '', removals = '', look = '', ...rest] = codeBlocks(
      page,
      'sh',
    );
    expect(rest).toEqual([]);
    expect(await run(apply)).toMatch(/Healthy: shout-v1 serves$/m);
    expect(await run(change)).toMatch(/^Name: +shout$/m);
    await waitFor('the pause', async () => {
      const status = await fleet.rollout('shout');
      return status?.phase === 'Paused' && status.weights.canary === 30;
    });
    expect(await run(promote)).toMatch(/Healthy: shout-v2 serves$/m);
    await run(undo);
    await waitFor('stable is v1 again', async () => {
      const status = await fleet.rollout('shout');
      return status?.phase === 'Healthy' && status.stable?.adapter === 'shout-v1';
    });
    expect(await run(removals)).toMatch(/^node-0 +nothing is held back$/m);
    const seen = await run(look);
    for (const name of ['shout', 'shout-v2', 'node-1', 'Promoted']) expect(seen).toContain(name);
  });
});
