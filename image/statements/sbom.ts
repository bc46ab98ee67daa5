import { Enums, Models, Serialize, SPDX, Spec } from '@cyclonedx/cyclonedx-library';
import { crateUrl, debianUrl, type Materials, npmUrl, sha512Of, zigUrl } from './materials.ts';

const { ComponentScope, ComponentType, HashAlgorithm } = Enums;

const licences = (text: string): Models.LicenseRepository =>
  new Models.LicenseRepository([
    SPDX.isSupportedSpdxId(text) ? new Models.SpdxLicense(text) : new Models.LicenseExpression(text),
  ]);

type Part = {
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly hash: readonly [Enums.HashAlgorithm, string];
  /** SPDX; left out where a file in the image says it in its own words. */
  readonly licence?: string;
  readonly cpe?: string;
  /** It made something of the image, and is not in there. */
  readonly isTool?: true;
};

const library = ({ name, version, purl, hash, licence, cpe, isTool }: Part): Models.Component =>
  new Models.Component(ComponentType.Library, name, {
    bomRef: purl,
    version,
    purl,
    hashes: new Models.HashDictionary([hash]),
    ...(licence === undefined ? {} : { licenses: licences(licence) }),
    ...(cpe === undefined ? {} : { cpe }),
    ...(isTool === undefined ? {} : { scope: ComponentScope.Excluded }),
  });

const parts = ({
  version: own,
  node,
  koffi,
  operator,
  webAssembly,
  debian,
  bundled,
}: Materials): readonly Part[] => [
  {
    name: 'node',
    version: node.version,
    purl: `pkg:generic/node@${node.version}`,
    // By this name scanners find its vulnerabilities.
    cpe: `cpe:2.3:a:nodejs:node.js:${node.version}:*:*:*:lts:*:*:*`,
    hash: [HashAlgorithm['SHA-512'], sha512Of(node.integrity)],
    licence: 'MIT',
  },
  {
    name: koffi.name,
    version: koffi.version,
    purl: npmUrl(koffi.name, koffi.version),
    hash: [HashAlgorithm['SHA-512'], sha512Of(koffi.integrity)],
    licence: 'MIT',
  },
  {
    name: 'adaptlet-lora',
    version: own,
    purl: `pkg:generic/adaptlet-lora@${own}`,
    hash: [HashAlgorithm['SHA-256'], operator.sha256],
    licence: 'Apache-2.0',
  },
  ...webAssembly.flatMap(({ module, madeOf }) =>
    Object.entries(module.crates).map(([name, licence]) => ({
      name,
      version: madeOf.crates[name] ?? '',
      purl: crateUrl(name, madeOf.crates[name] ?? ''),
      hash: [HashAlgorithm['SHA-256'], madeOf.module] as const,
      licence,
    })),
  ),
  {
    name: 'ziglang',
    version: operator.zig.version,
    purl: zigUrl(operator),
    hash: [HashAlgorithm['SHA-256'], operator.zig.sha256],
    licence: 'MIT',
    isTool: true,
  },
  ...bundled.map(
    ({ name, version, licence, integrity }): Part => ({
      name,
      version,
      purl: npmUrl(name, version),
      hash: [HashAlgorithm['SHA-512'], sha512Of(integrity)],
      licence,
    }),
  ),
  ...debian.map(
    (one): Part => ({
      name: one.name,
      version: one.version,
      purl: debianUrl(one),
      hash: [HashAlgorithm['SHA-256'], one.sha256],
    }),
  ),
];

/** What is in the image, as CycloneDX 1.6 in JSON. Equal materials, equal text: it has no time and no serial number. */
export const sbom = (materials: Materials): string => {
  const { version, debian } = materials;
  const image = new Models.Component(ComponentType.Container, 'adaptlet', {
    bomRef: 'adaptlet',
    version,
    licenses: licences('Apache-2.0'),
  });
  const components = parts(materials).map(library);
  for (const { bomRef, scope } of components)
    if (scope !== ComponentScope.Excluded) image.dependencies.add(bomRef);
  const system = new Models.Component(ComponentType.OperatingSystem, 'debian', {
    bomRef: 'debian',
    version: debian.find(({ name }) => name === 'base-files')?.version ?? '',
  });
  const bom = new Models.Bom({
    metadata: new Models.Metadata({ component: image }),
    components: new Models.ComponentRepository([...components, system]),
  });
  const serializer = new Serialize.JsonSerializer(new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6));
  return `${serializer.serialize(bom, { sortLists: true, space: 2 })}\n`;
};
