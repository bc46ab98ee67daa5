import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { issueAuthority, issueCertificate } from '../../src/operator/identity/certificate.ts';
import { adaptlet } from '../support/cli.ts';
import { tiny } from '../support/node.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { tool } from '../tools/build.ts';
import { type RegistryProcess, startRegistry } from '../tools/registry-process.ts';

const registryTool = await tool('registry');
const upper = join(tiny.adapters, 'upper');
const validity = { from: Date.now() - 60_000, until: Date.now() + 3_600_000 };

describe.skipIf(registryTool === undefined)('a registry whose authority is one of a site', () => {
  const root = folderOfTests();
  let registry: RegistryProcess;
  let image: string;
  let ca: string;
  beforeAll(async () => {
    const authority = await issueAuthority('site', validity);
    // This machine under a name that is not one of its loopback, which is spoken to without TLS.
    const own = await issueCertificate(authority, {
      subject: { name: 'registry' },
      names: ['0.0.0.0'],
      validity,
    });
    const files = { 'ca.crt': authority.certificate, 'own.crt': own.certificate, 'own.key': own.key };
    for (const [name, text] of Object.entries(files)) await writeFile(join(root, name), text);
    ca = join(root, 'ca.crt');
    const tls = { certificate: join(root, 'own.crt'), key: join(root, 'own.key') };
    registry = await startRegistry(registryTool ?? '', { tls });
    image = `0.0.0.0:${registry.host.split(':').at(-1)}/team/sql:v1`;
  });
  afterAll(async () => {
    await registry[Symbol.asyncDispose]();
  });

  it('is pushed to, looked at and pulled from with --ca', async () => {
    for (const args of [
      ['push', upper, image],
      ['inspect', image],
      ['pull', image, join(root, 'out')],
    ])
      expect(await adaptlet(...args, '--ca', ca)).toMatchObject({ code: 0, stderr: '' });
  });

  it('is not trusted without, and the message says what to do', async () => {
    const { code, stderr } = await adaptlet('inspect', image);
    expect(code).toBe(1);
    expect(stderr).toMatch(/certificate of https:\/\/0\.0\.0\.0:\d+ is not accepted \(\w+\).*--ca FILE/);
  });

  it('is not trusted by a file without a certificate, which is named', async () => {
    const { code, stderr } = await adaptlet('inspect', image, '--ca', join(root, 'own.key'));
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `adaptlet: --ca ${join(root, 'own.key')}: it has no certificate in PEM. Name a PEM file with the certificate of the authority.\n`,
    });
  });
});

it('a command that did not reach a registry says what a person can do', async () => {
  const { code, stderr } = await adaptlet('inspect', '127.0.0.1:2/team/sql:v1');
  expect(code).toBe(1);
  expect(stderr).toMatch(/did not answer \(ECONNREFUSED\)\. Check the name .* run the command again/);
  expect(stderr).not.toContain('Nothing to do');
});
