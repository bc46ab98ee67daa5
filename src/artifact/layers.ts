import { AdaptletError } from '../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';
import { safeName } from './file-name.ts';
import { type Descriptor, type Manifest, pathAnnotation, titleAnnotation } from './manifest.ts';

export type Compression = 'none' | 'gzip' | 'zstd';

/** What a layer is: one file under its name, or an archive of several. */
export type LayerContent =
  | { readonly kind: 'file'; readonly layer: Descriptor; readonly name: string }
  | { readonly kind: 'archive'; readonly layer: Descriptor; readonly compression: Compression };

/** oras packs a folder into one layer and says so. */
const unpackAnnotation = 'io.deis.oras.content.unpack';
const archiveType = /[.+]tar(?:[.+](gzip|zstd))?$/;
const modelPack = 'application/vnd.cncf.model.';

const compressionOf = (mediaType: string): Compression | undefined => {
  const match = archiveType.exec(mediaType);
  if (match === null) return undefined;
  return match[1] === 'gzip' || match[1] === 'zstd' ? match[1] : 'none';
};

const contentOf = (layer: Descriptor, where: string): LayerContent => {
  const { mediaType, annotations = {} } = layer;
  const title = annotations[titleAnnotation];
  const name = annotations[pathAnnotation] ?? title;
  const compression = compressionOf(mediaType);
  // oras gives plain files the media type of an archive too: there the title, not the type, says what it is.
  const isArchive = mediaType.startsWith(modelPack)
    ? compression !== undefined
    : annotations[unpackAnnotation] === 'true' || (title === undefined && compression !== undefined);
  if (isArchive) return { kind: 'archive', layer, compression: compression ?? 'gzip' };
  if (name !== undefined) return { kind: 'file', layer, name: safeName(name, where) };
  throw new AdaptletError(
    'ARTIFACT_LAYER_UNKNOWN',
    `${where} has a layer of type ${quoteUntrusted(mediaType)} without a name`,
  );
};

/**
 * Reads the layers of artifacts of this project, of oras, of ModelPack tools, and archives.
 * @throws AdaptletError ARTIFACT_LAYER_UNKNOWN, ARTIFACT_FILE_REFUSED
 */
export const layersOf = (manifest: Manifest, where: string): readonly LayerContent[] => {
  const contents = manifest.layers.map((layer) => contentOf(layer, where));
  const names = new Set<string>();
  for (const content of contents) {
    if (content.kind !== 'file') continue;
    if (names.has(content.name)) {
      throw new AdaptletError(
        'ARTIFACT_FILE_REFUSED',
        `${where} has the file ${quoteUntrusted(content.name)} twice`,
      );
    }
    names.add(content.name);
  }
  return contents;
};
