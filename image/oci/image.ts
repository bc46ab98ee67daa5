import { user } from '../rootfs/system.ts';
import { type Descriptor, type Document, document, layerDescriptor, mediaTypes } from './blobs.ts';
import type { Layer } from './layer.ts';

export type ImageFacts = {
  readonly architecture: string;
  readonly version: string;
  readonly revision: string | undefined;
  /** Of the commit, in ISO 8601; undefined outside a repository. */
  readonly created: string | undefined;
  readonly description: string;
  readonly licence: string;
};

const labelsOf = ({ version, revision, description, licence }: ImageFacts): Record<string, string> => ({
  'org.opencontainers.image.title': 'adaptlet',
  'org.opencontainers.image.description': description,
  'org.opencontainers.image.version': version,
  'org.opencontainers.image.licenses': licence,
  ...(revision === undefined ? {} : { 'org.opencontainers.image.revision': revision }),
});

/** Manifest and configuration of an image of one architecture. */
export const imageDocuments = (
  facts: ImageFacts,
  layers: readonly Layer[],
): { readonly manifest: Document; readonly config: Document } => {
  const { architecture, created } = facts;
  const time = created === undefined ? {} : { created };
  const labels = labelsOf(facts);
  const config = document(mediaTypes.config, {
    ...time,
    architecture,
    os: 'linux',
    config: {
      User: `${user}:${user}`,
      Env: ['PATH=/usr/bin'],
      Entrypoint: ['adaptlet'],
      WorkingDir: '/',
      Labels: labels,
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(({ what }) => ({ ...time, created_by: 'make image', comment: what })),
  });
  const manifest = document(mediaTypes.manifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: config.descriptor,
    layers: layers.map(layerDescriptor),
    annotations: labels,
  });
  return {
    config,
    manifest: {
      ...manifest,
      descriptor: { ...manifest.descriptor, platform: { architecture, os: 'linux' } },
    },
  };
};

/** A statement of in-toto, and the type of what it states. */
export type Stated = { readonly predicateType: string; readonly statement: unknown };

/**
 * Statements about an image, attached to it: its manifest names the image as its subject, and stands in the index as
 * BuildKit does it, with a platform that no node has.
 */
export const attachedDocuments = (image: Descriptor, stated: readonly Stated[]): readonly Document[] => {
  const statements = stated.map(({ statement }) => document(mediaTypes.statement, statement));
  const config = document('application/vnd.oci.empty.v1+json', {});
  const { mediaType, digest, size } = image;
  const manifest = document(mediaTypes.manifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    artifactType: 'application/vnd.docker.attestation.manifest.v1+json',
    config: config.descriptor,
    layers: statements.map(({ descriptor }, place) => ({
      ...descriptor,
      annotations: { 'in-toto.io/predicate-type': stated[place]?.predicateType ?? '' },
    })),
    subject: { mediaType, digest, size },
  });
  const descriptor = {
    ...manifest.descriptor,
    platform: { architecture: 'unknown', os: 'unknown' },
    annotations: {
      'vnd.docker.reference.digest': digest,
      'vnd.docker.reference.type': 'attestation-manifest',
    },
  };
  return [{ ...manifest, descriptor }, config, ...statements];
};
