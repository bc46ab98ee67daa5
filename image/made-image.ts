import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { modules, readMadeOf } from '../native/modules.ts';
import packageJson from '../package.json' with { type: 'json' };
import { type ArchitectureName, architectures } from './architecture.ts';
import { cachedBundle } from './bundle/cached-bundle.ts';
import { sha256 } from './materials/cache.ts';
import { debianPackages } from './materials/debian.ts';
import { koffiPackage, nodePackage } from './materials/npm.ts';
import { nativeOperator } from './native-operator.ts';
import type { Document } from './oci/blobs.ts';
import { attachedDocuments, imageDocuments } from './oci/image.ts';
import { type Layer, layer } from './oci/layer.ts';
import { applicationLayer } from './rootfs/application.ts';
import { nativeLayer, nodeLayer } from './rootfs/runtimes.ts';
import { debianPackageNames, systemLayer } from './rootfs/system.ts';
import { readSource, root } from './source.ts';
import type { Materials } from './statements/materials.ts';
import { provenance, provenanceType, sbomType, statement } from './statements/provenance.ts';
import { sbom } from './statements/sbom.ts';

export const { version } = packageJson;

/** An image of one architecture: its layers on this machine, and all documents about it. */
export type MadeImage = {
  readonly architecture: ArchitectureName;
  readonly manifest: Document;
  readonly config: Document;
  readonly layers: readonly Layer[];
  /** The manifest of what is attached comes first. */
  readonly attached: readonly Document[];
  /** CycloneDX and in-toto, as JSON. */
  readonly sbom: string;
  readonly provenance: string;
};

/** Gathers the materials, and makes layers and documents of them. Equal commits and packages, equal digests. */
export const makeImage = async (name: ArchitectureName): Promise<MadeImage> => {
  const architecture = architectures[name];
  const [debian, node, koffi, operator, webAssembly, bundled, source] = await Promise.all([
    debianPackages(debianPackageNames, name),
    nodePackage(`linux-${architecture.npm}`),
    koffiPackage(architecture),
    nativeOperator(architecture),
    Promise.all(modules.map(async (module) => ({ module, madeOf: await readMadeOf(module) }))),
    cachedBundle(),
    readSource(),
  ]);
  // From what seldom changes to what changes with each commit: an update of a node fetches the last one alone.
  const layers = [
    await layer('Debian libraries', systemLayer(architecture, debian)),
    await layer('Node', nodeLayer(node)),
    await layer('Native libraries', nativeLayer(architecture, koffi, operator.file)),
    await layer('Adaptlet', applicationLayer(bundled.folder, bundled.packages)),
  ];
  const { manifest, config } = imageDocuments(
    {
      architecture: name,
      version,
      revision: source?.revision,
      created: source?.created,
      description: packageJson.description,
      licence: packageJson.license,
    },
    layers,
  );
  const materials: Materials = {
    architecture,
    version,
    revision: source?.revision,
    node,
    koffi,
    operator,
    webAssembly,
    debian,
    bundled: bundled.packages,
  };
  const bom = sbom(materials);
  const lock = sha256(await readFile(join(root, 'package-lock.json')));
  const subject = { name: 'adaptlet', digest: manifest.descriptor.digest };
  const made = statement(subject, provenanceType, provenance(materials, lock));
  const contains = statement(subject, sbomType, JSON.parse(bom));
  return {
    architecture: name,
    manifest,
    config,
    layers,
    attached: attachedDocuments(manifest.descriptor, [
      { predicateType: sbomType, statement: contains },
      { predicateType: provenanceType, statement: made },
    ]),
    sbom: bom,
    provenance: `${JSON.stringify(made, undefined, 2)}\n`,
  };
};
