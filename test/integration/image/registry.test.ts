import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { architectureNames } from '../../../image/architecture.ts';
import { type BuiltImages, buildImages } from '../../../image/build.ts';
import packageJson from '../../../package.json' with { type: 'json' };
import { runProgram } from '../../support/program.ts';
import { folderOfTests } from '../../support/temporary-folder.ts';
import { tool } from '../../tools/build.ts';
import { type RegistryProcess, startRegistry } from '../../tools/registry-process.ts';

const [registryTool, oras] = [await tool('registry'), await tool('oras')];
const missing = registryTool === undefined || oras === undefined;
const reason = missing ? ' (SKIPPED: go is not installed, so the registry and oras cannot be built)' : '';

describe.skipIf(missing)(`a registry that the image is pushed to${reason}`, () => {
  const folder = folderOfTests();
  let registry: RegistryProcess;
  let built: BuiltImages;
  const name = (): string => `${registry.host}/edge/adaptlet:${packageJson.version}`;
  const run = async (...args: string[]): Promise<unknown> => {
    const { code, stdout, stderr } = await runProgram(oras ?? '', args);
    if (code !== 0) throw new Error(`oras ${args.join(' ')}: ${stderr}`);
    return stdout.startsWith('{') ? JSON.parse(stdout) : stdout;
  };
  beforeAll(async () => {
    registry = await startRegistry(registryTool ?? '', { dir: join(folder, 'blobs') });
    built = await buildImages({ archs: architectureNames, folder, say: () => undefined });
    await run('cp', '--from-oci-layout', `${built.layout}:${packageJson.version}`, '--to-plain-http', name());
  });
  afterAll(async () => {
    await registry[Symbol.asyncDispose]();
  });

  it.each(architectureNames)('gives a node of %s its image', async (architecture) => {
    const found = (await run(
      'manifest',
      'fetch',
      '--plain-http',
      '--descriptor',
      '--platform',
      `linux/${architecture}`,
      name(),
    )) as { digest: string };
    expect(found.digest).toBe(built.images.get(architecture)?.digest);
  });

  it('finds the bill of materials and the provenance as what refers to the image', async () => {
    const digest = built.images.get('amd64')?.digest ?? '';
    const image = `${registry.host}/edge/adaptlet@${digest}`;
    const { referrers } = (await run('discover', '--plain-http', '--format', 'json', image)) as {
      referrers: { digest: string }[];
    };
    expect(referrers).toHaveLength(1);
    const attached = `${registry.host}/edge/adaptlet@${referrers[0]?.digest}`;
    const { layers } = (await run('manifest', 'fetch', '--plain-http', attached)) as {
      layers: { digest: string; annotations: Record<string, string> }[];
    };
    const types = layers.map(({ annotations }) => annotations['in-toto.io/predicate-type']);
    expect(types).toEqual(['https://cyclonedx.org/bom', 'https://slsa.dev/provenance/v1']);
    for (const layer of layers) {
      const blob = `${registry.host}/edge/adaptlet@${layer.digest}`;
      const { subject } = (await run('blob', 'fetch', '--plain-http', '--output', '-', blob)) as {
        subject: { digest: Record<string, string> }[];
      };
      expect(subject[0]?.digest).toEqual({ sha256: digest.replace('sha256:', '') });
    }
  });
});
