import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { repositoryRoot } from '../support/process.ts';
import { type ProgramResult, runProgram } from '../support/program.ts';
import { hasRegistry, TestRegistry } from '../support/registry.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { tool } from '../tools/build.ts';

const cosign = await tool('cosign');

describe.skipIf(!hasRegistry || cosign === undefined)('cosign 3 (needs go to build it)', () => {
  let registry: TestRegistry;
  const root = folderOfTests();
  const env = () => ({ COSIGN_PASSWORD: 'pass word', HOME: root });
  const at = (image: string): string => `${registry.host}/${image}`;
  const run = (...args: readonly string[]): Promise<ProgramResult> =>
    runProgram(cosign ?? '', args, { cwd: root, env: env() });
  const adaptlet = (...args: readonly string[]): Promise<ProgramResult> =>
    runProgram(join(repositoryRoot, 'bin/adaptlet'), args, { cwd: root, env: env() });
  const verdict = async (image: string): Promise<string | undefined> => {
    const { stdout, stderr } = await adaptlet('verify', at(image), '--key', 'cosign.pub', '--json');
    expect(stderr).toBe('');
    const found = JSON.parse(stdout) as { verified: boolean; code?: string; signer?: string };
    return found.verified ? `signed by ${found.signer}` : found.code;
  };
  const verify = (reference: string): Promise<ProgramResult> =>
    run('verify', '--key', 'cosign.pub', '--insecure-ignore-tlog=true', '--allow-http-registry', reference);
  /** Without a log and without a network. */
  const offline = ['--yes', '--allow-http-registry', '--use-signing-config=false', '--tlog-upload=false'];

  beforeAll(async () => {
    registry = await TestRegistry.start();
    // The registry gives referrers another type than theirs, and cosign asks for those of its own.
    registry.hasReferrersApi = false;
    expect(await run('generate-key-pair')).toMatchObject({ code: 0 });
  });
  afterAll(async () => {
    await registry[Symbol.asyncDispose]();
  });

  it('verifies what adaptlet has signed with a key of its, and nothing else', async () => {
    const reference = `${at('team/ours')}@${await registry.push('team/ours:v1', 'upper')}`;
    expect(await adaptlet('sign', at('team/ours:v1'), '--key', 'cosign.key')).toMatchObject({
      code: 0,
      stderr: '',
    });
    expect(await verify(reference)).toMatchObject({ code: 0 });
    const unsigned = `${at('team/unsigned')}@${await registry.push('team/unsigned:v1', 'hello')}`;
    expect((await verify(unsigned)).code).not.toBe(0);
  });

  it('signs what adaptlet verifies', async () => {
    const reference = `${at('team/theirs')}@${await registry.push('team/theirs:v1', 'hello')}`;
    expect(await verdict('team/theirs:v1')).toBe('SIGNATURE_MISSING');
    expect(await run('sign', ...offline, '--key', 'cosign.key', reference)).toMatchObject({ code: 0 });
    expect(await verdict('team/theirs:v1')).toBe('signed by cosign.pub');
  });

  it('attests what is no signature for adaptlet', async () => {
    const reference = `${at('team/attested')}@${await registry.push('team/attested:v1', 'upper')}`;
    await writeFile(join(root, 'predicate.json'), '{"made": "by a test"}');
    const what = ['--type', 'https://test.example/what', '--predicate', 'predicate.json'];
    const attested = await run('attest', ...offline, '--key', 'cosign.key', ...what, reference);
    expect(attested).toMatchObject({ code: 0 });
    expect(await verdict('team/attested:v1')).toBe('SIGNATURE_WRONG_PREDICATE');
  });
});
