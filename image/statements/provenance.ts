import { pathOf } from '../../native/modules.ts';
import { debianUrl, type Materials, npmUrl, sha512Of, zigUrl } from './materials.ts';

/** What this folder does, as a name that others can compare with. */
const buildType = 'https://adaptlet.io/builds/image/v1';
/** Whoever ran `make image`: a builder of one's own, which proves nothing about itself. */
const builder = 'https://adaptlet.io/builders/make-image';

type Statement = {
  readonly _type: 'https://in-toto.io/Statement/v1';
  readonly subject: readonly { readonly name: string; readonly digest: Readonly<Record<string, string>> }[];
  readonly predicateType: string;
  readonly predicate: unknown;
};

/** A statement of in-toto about an image. `digest`: sha256:… of its manifest. */
export const statement = (
  image: { readonly name: string; readonly digest: string },
  predicateType: string,
  predicate: unknown,
): Statement => ({
  _type: 'https://in-toto.io/Statement/v1',
  subject: [{ name: image.name, digest: { sha256: image.digest.replace(/^sha256:/, '') } }],
  predicateType,
  predicate,
});

export const provenanceType = 'https://slsa.dev/provenance/v1';
export const sbomType = 'https://cyclonedx.org/bom';

/** How it was made and of what, as SLSA's provenance 1: without times, so that equal builds say the same. */
export const provenance = (materials: Materials, lockDigest: string): unknown => {
  const { architecture, version, revision, node, koffi, operator, webAssembly, debian } = materials;
  const commit = revision?.replace(/-dirty$/, '');
  return {
    buildDefinition: {
      buildType,
      externalParameters: { architecture: architecture.name, version },
      internalParameters: { node: process.version, zlib: process.versions.zlib, dirty: revision !== commit },
      resolvedDependencies: [
        ...(commit === undefined ? [] : [{ name: 'source', digest: { gitCommit: commit } }]),
        { name: 'package-lock.json', digest: { sha256: lockDigest } },
        ...operator.sources.map((one) => ({ name: one.name, digest: { sha256: one.sha256 } })),
        ...webAssembly.map(({ module, madeOf }) => ({
          name: pathOf(module),
          digest: { sha256: madeOf.module },
        })),
        { uri: zigUrl(operator), digest: { sha256: operator.zig.sha256 } },
        ...[node, koffi].map(({ name, version: of, integrity }) => ({
          uri: npmUrl(name, of),
          digest: { sha512: sha512Of(integrity) },
        })),
        ...debian.map((one) => ({
          uri: debianUrl(one),
          downloadLocation: one.url,
          digest: { sha256: one.sha256 },
        })),
      ],
    },
    runDetails: { builder: { id: builder } },
  };
};
